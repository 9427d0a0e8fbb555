import type { Named } from '../engine/types.js';

/** A float32 tensor on its way to or from a file. */
export interface Weight {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** float16: a sign, 5 bits of exponent, 10 of fraction. */
const half = (bits: number): number => {
  const [sign, exponent, fraction] = [bits >> 15 === 0 ? 1 : -1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
};

/** Bytes of an element of each type that can be read, and float32 values of such bytes (copied: aligned, and their own). */
const TYPES: Readonly<
  Record<string, { readonly bytes: number; readonly values: (buffer: ArrayBuffer) => Float32Array }>
> = {
  F32: { bytes: 4, values: (buffer) => new Float32Array(buffer) },
  F64: { bytes: 8, values: (buffer) => Float32Array.from(new Float64Array(buffer)) },
  F16: { bytes: 2, values: (buffer) => Float32Array.from(new Uint16Array(buffer), half) },
  // The upper half of a float32.
  BF16: {
    bytes: 2,
    values: (buffer) =>
      new Float32Array(Uint32Array.from(new Uint16Array(buffer), (bits) => bits << 16).buffer),
  },
};

/** The header of a file of ours is a few kB; a longer one is a mistake or an attack. */
const LONGEST_HEADER = 16 * 2 ** 20;

/**
 * The safetensors format (huggingface/safetensors): u64 length of the header, little-endian; the header, JSON with dtype,
 * shape and byte range of each tensor; the values. Names in order, so that equal weights give equal bytes.
 */
export const writeSafetensors = (tensors: Named<Weight>, metadata: Named<string> = {}): Buffer => {
  const header: Record<string, unknown> =
    Object.keys(metadata).length === 0 ? {} : { __metadata__: metadata };
  const names = Object.keys(tensors).sort();
  const parts: Buffer[] = [];
  let offset = 0;
  for (const name of names) {
    const { shape, data } = tensors[name] as Weight;
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    header[name] = { dtype: 'F32', shape, data_offsets: [offset, offset + bytes.length] };
    offset += bytes.length;
    parts.push(bytes);
  }
  const json = JSON.stringify(header);
  const text = Buffer.from(json + ' '.repeat((8 - (Buffer.byteLength(json) % 8)) % 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, ...parts]);
};

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;

const isLengths = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((v) => Number.isSafeInteger(v) && (v as number) >= 0);

/**
 * The tensors of a safetensors file as float32, whatever floats it has, but for those to be ignored. Values are copied
 * out, so they are aligned and the bytes can go.
 * @throws Error saying what is wrong with the bytes; sizes are checked before anything is allocated
 */
export const readSafetensors = (
  bytes: Buffer,
  isIgnored: (name: string) => boolean = () => false,
): { tensors: Record<string, Weight>; metadata: Record<string, string> } => {
  if (bytes.length < 8) throw new Error('it is shorter than a safetensors header');
  const length = Number(bytes.readBigUInt64LE());
  if (length > LONGEST_HEADER || length > bytes.length - 8)
    throw new Error('its header is longer than the file');
  let header: unknown;
  try {
    header = JSON.parse(bytes.toString('utf8', 8, 8 + length));
  } catch (cause) {
    throw new Error('its header is not JSON', { cause });
  }
  if (!isRecord(header)) throw new Error('its header is not an object');
  const { __metadata__: metadata = {}, ...entries } = header;
  const body = bytes.subarray(8 + length);
  const tensors: Record<string, Weight> = {};
  for (const [name, entry] of Object.entries(entries)) {
    if (isIgnored(name)) continue;
    const type = isRecord(entry) ? TYPES[String(entry['dtype'])] : undefined;
    if (!isRecord(entry) || type === undefined)
      throw new Error(`tensor "${name}" is not of a float type (F32, F16, BF16, F64)`);
    const { shape, data_offsets: range } = entry;
    if (!isLengths(shape) || !isLengths(range))
      throw new Error(`tensor "${name}" has no shape or byte range`);
    const [begin = 0, end = 0] = range;
    const count = shape.reduce((a, b) => a * b, 1);
    if (end > body.length || end - begin !== count * type.bytes)
      throw new Error(`tensor "${name}" does not fit in the file: is it truncated?`);
    tensors[name] = { shape, data: type.values(new Uint8Array(body.subarray(begin, end)).buffer) };
  }
  return { tensors, metadata: metadata as Record<string, string> };
};
