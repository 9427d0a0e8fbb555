import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { openCodecs } from '../../src/pipeline/intake/input.js';
import { openLedger, type Ledger } from '../../src/pipeline/ledger/ledger.js';
import { createRecall } from '../../src/pipeline/state/recall.js';

const COUNT = 10;
let home: string;
let ledger: Ledger;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-recall-'));
  ledger = openLedger(home);
  ledger.putSeries({ series: 'run', first: 0, increment: 1, last: COUNT - 1 });
  for (let n = 0; n < COUNT; n++) {
    const path = join(home, `f_${n}.raw`);
    await writeFile(path, Buffer.alloc(6, n));
    const revision = { size: 6, mtimeNs: '1' };
    ledger.finish({ series: 'run', index: n, path, revision }, 'observed', { position: n });
  }
});
afterEach(async () => {
  await ledger.close();
  await rm(home, { recursive: true });
});

/** Values of the frames that come, the files that were read, and what people were told; `reads` may throw. */
const recalled = async (
  place: readonly [from: number, to: number, every?: number],
  reads: (name: string) => void = () => undefined,
) => {
  const codecs = await openCodecs(1, { raw: { height: 2, width: 3, type: 'uint8' } });
  const [files, notices] = [[], []] as [string[], string[]];
  const recall = createRecall({
    ledger,
    codecFor: (path) => {
      files.push(basename(path));
      reads(basename(path));
      return codecs.for(path);
    },
    notice: (message) => notices.push(message),
  });
  const frames = await recall('run', ...place);
  return { frames: frames.map(({ position, data }) => [position, data[0]]), files, notices };
};

test('of every fourth frame that is asked for no other file is read', async () => {
  expect(await recalled([1, 9, 4])).toEqual({
    frames: [
      [1, 1],
      [5, 5],
      [9, 9],
    ],
    files: ['f_1.raw', 'f_5.raw', 'f_9.raw'],
    notices: [],
  });
});

test('what cannot be read just now is tried again; what never can is left out and told, what is gone at once', async () => {
  const failing = (name: string, times: number) => (which: string) => {
    if (which === name && times-- > 0)
      throw Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' });
  };
  const all = [2, 3, 4].map((n) => [n, n]);
  expect(await recalled([2, 4], failing('f_3.raw', 2))).toMatchObject({ frames: all, notices: [] });
  await rm(join(home, 'f_4.raw'));
  const { frames, files, notices } = await recalled([2, 4], failing('f_3.raw', Infinity));
  expect(frames).toEqual([[2, 2]]);
  expect(files.filter((name) => name === 'f_4.raw')).toHaveLength(1);
  expect(notices).toEqual([
    expect.stringMatching(/^run: 2 of its earlier frames cannot .* the first: .*f_3\.raw: EIO: i\/o error/),
  ]);
});
