import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createIntake } from '../../src/learning/learner/intake.js';
import type { FrameFile } from '../../src/learning/learner/messages.js';
import { openCodecs } from '../../src/pipeline/intake/input.js';
import { codecForExtension } from '../../src/pipeline/plugins/registry.js';
import { putFrame } from '../support/tiny.js';

let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-intake-'));
});
afterAll(() => rm(home, { recursive: true }));

const put = async (position: number): Promise<FrameFile & { contentHash: string }> => {
  const path = await putFrame(home, position, { extension: '.npy', sampleType: 'float32' });
  const contentHash = createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
  return { position, path, contentHash };
};
const putUnknown = async (position: number): Promise<FrameFile> => {
  const codec = await codecForExtension('.npy');
  const data = new Float32Array(256).fill(0.5);
  data[100] = NaN;
  const path = join(home, `unknown_${position}.npy`);
  await writeFile(path, await codec.encode({ shape: [16, 16, 1], data, sampleType: 'float32' }));
  return { position, path };
};

test('frames are read in order, normalised; what went away, has changed or is not known is left out', async () => {
  const added: (readonly [string, number, boolean | undefined])[] = [];
  const values: number[] = [];
  const notices: string[] = [];
  const intake = createIntake({
    codecs: await openCodecs(1),
    replay: {
      add: (series, position, shape, { low, high }, frame, parameters, isEarlier) => {
        expect([shape, low, high, parameters]).toEqual([[16, 16, 1], 0, 2, { rate: 3 }]);
        added.push([series, position, isEarlier]);
        values.push(Math.max(...frame));
      },
    },
    notice: (message) => notices.push(message),
  });
  const tell = (series: string, earlier: readonly FrameFile[], frames: readonly FrameFile[]): Promise<void> =>
    intake({
      ...{ type: 'frames', series, normalisation: { low: 0, high: 2 }, parameters: { rate: 3 } },
      ...{ earlier, frames },
    });

  const [zeroth, first, second, third] = [await put(0), await put(1), await put(2), await put(3)];
  const changed = { ...first, contentHash: zeroth.contentHash };
  const gone = { position: 5, path: join(home, 'gone.npy') };
  const foreign = { position: 6, path: join(home, 'notes.unheard-of') };
  await tell('a', [zeroth, changed, gone, second], [foreign, await putUnknown(4), third]);
  await tell('a', [], [await putUnknown(7), await put(8)]);
  expect(added).toEqual([
    ['a', 0, true],
    ['a', 2, true],
    ['a', 3, false],
    ['a', 8, false],
  ]);
  // The blob is at most .85 high; normalised by 0 to 2 that is half of it.
  for (const value of values) expect(value).toBeLessThan(0.45);
  for (const value of values) expect(value).toBeGreaterThan(0.3);
  expect(notices).toEqual([
    `a: frames with unknown values, such as ${join(home, 'unknown_4.npy')}, are not learned from`,
  ]);

  await tell('b', [], [await putUnknown(9)]);
  expect(notices).toHaveLength(2);
});
