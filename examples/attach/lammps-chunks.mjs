// A codec of your own: the text that LAMMPS writes for `compute chunk/atom bin/2d` with `fix ave/chunk`. Each block is a
// frame, so a file that grows is a series.
//   mesocast attach run --codec ./lammps-chunks.mjs
import { CodecError, defineCodec, oneOf, z } from 'mesocast';

export const lammpsChunks = defineCodec({
  name: 'lammps_chunks',
  summary: 'LAMMPS fix ave/chunk of compute chunk/atom bin/2d: a column as a field, blocks as frames',
  options: z.strictObject({
    column: z.string().optional().describe('name of the column; default: the last one'),
    extensions: z.array(z.string().startsWith('.')).default(['.chunk']).describe('endings of such files'),
  }),
  create: ({ column, extensions }) => {
    const known = new Map(); // what was found in a file before: only what was appended is read again
    return {
      extensions,
      ...oneOf({
        count: async (bytes) => {
          const { blocks, end, wrong } = await scan(bytes, known);
          const torn = end === bytes.size ? undefined : `it ends inside block ${blocks.length}`;
          return {
            count: blocks.length,
            incomplete: wrong ?? (blocks.length === 0 ? 'it has no whole block' : torn),
          };
        },
        decode: async (bytes, item) => {
          const { blocks, head } = await scan(bytes, known);
          const block = blocks[item];
          if (block === undefined)
            throw new CodecError(`it has ${blocks.length} blocks, there is no block ${item}`);
          return fieldOf(
            (await bytes.read(block.from, block.to - block.from)).toString('latin1'),
            head,
            column,
          );
        },
      }),
      encode: async () => {
        throw new CodecError('LAMMPS writes these files', { hint: 'write png, tiff, npy or vti' });
      },
    };
  },
});

const PIECE = 1 << 20;

/** Where whole blocks begin and end: `step chunks count`, then a line for each chunk. */
const scan = async (bytes, known) => {
  const before = known.get(bytes.path);
  const found = before !== undefined && before.end <= bytes.size ? before : { head: '', blocks: [], end: 0 };
  let { head, end } = found;
  let wrong;
  const blocks = [...found.blocks];
  let open; // the block that is being read, and how many lines it lacks
  let rest = Buffer.alloc(0);
  for (let at = end; at < bytes.size && wrong === undefined; at += PIECE) {
    const piece = Buffer.concat([rest, await bytes.read(at, Math.min(PIECE, bytes.size - at))]);
    let from = 0;
    for (let line = piece.indexOf(10); line >= 0 && wrong === undefined; line = piece.indexOf(10, from)) {
      if (open === undefined) {
        const text = piece.toString('latin1', from, line);
        const begin = at - rest.length + from;
        const chunks = Number(/^\d+ (\d+) [\d.e+]+\s*$/.exec(text)?.[1] ?? NaN);
        if (text.startsWith('# Chunk ')) head = text;
        if (chunks > 0) open = { from: begin, lacks: chunks };
        else if (!text.startsWith('#')) wrong = `byte ${begin} begins no block of fix ave/chunk`;
      } else open.lacks--;
      from = line + 1;
      if (open?.lacks === 0) {
        end = at - rest.length + from;
        blocks.push({ from: open.from, to: end });
        open = undefined;
      }
    }
    rest = piece.subarray(from);
  }
  const all = { head, blocks, end, wrong };
  if (bytes.path !== undefined) known.set(bytes.path, all);
  return all;
};

/** Chunks run along y first; row 0 of the field is the least y. */
const fieldOf = (text, head, column) => {
  const names = head.split(/\s+/).slice(1);
  const at = column === undefined ? names.length - 1 : names.indexOf(column);
  const [x, y] = ['Coord1', 'Coord2'].map((name) => names.indexOf(name));
  if (at < 0 || x < 0 || y < 0)
    throw new CodecError(`its columns are ${names.join(', ')}`, {
      hint: 'use compute chunk/atom bin/2d, and --set lammps-chunks.column=NAME to choose',
    });
  const [first = '', ...lines] = text.trimEnd().split('\n');
  const rows = lines.map((line) => line.trim().split(/\s+/).map(Number));
  const height = rows.findIndex((row) => row[x] !== rows[0][x]);
  const width = rows.length / height;
  if (height < 1 || !Number.isInteger(width)) throw new CodecError(`its ${rows.length} chunks are no grid`);
  const data = new Float32Array(rows.length);
  rows.forEach((row, i) => {
    data[(i % height) * width + Math.floor(i / height)] = row[at];
  });
  return {
    shape: [height, width, 1],
    data,
    sampleType: 'float32',
    time: { value: Number(first.split(' ')[0]) },
  };
};
