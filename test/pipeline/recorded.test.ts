import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { FrameShape } from '../../src/pipeline/frame.js';
import { littleEndian } from '../../src/pipeline/bytes.js';
import { openCodecs } from '../../src/pipeline/intake/input.js';
import { listRecorded, readRecorded, type Recorded } from '../../src/pipeline/intake/recorded.js';
import { codecForExtension } from '../../src/pipeline/plugins/registry.js';
import { record, smallRun } from '../support/runs.js';
import { framePath, movingField, putFrames, saveTiny } from '../support/tiny.js';

const SHAPE: FrameShape = [16, 16, 1];
const CODECS = { npy: { axes: 'NHW' }, raw: { height: 16, width: 16, type: 'float32' } };
let home: string;
let data: string;
const notices: string[] = [];
const list = async (
  path: string,
  more: { include?: string[]; ignore?: string[] } = {},
): Promise<Recorded[]> =>
  listRecorded(path, {
    codecs: await openCodecs(1, CODECS),
    notice: (message) => notices.push(message),
    ...more,
  });

const fields = (count: number): Float32Array =>
  Float32Array.from(Array.from({ length: count }, (_, t) => [...movingField(t, SHAPE)]).flat());

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-recorded-'));
  data = join(home, 'data');
  await putFrames(join(data, 'z'), 0, 8);
  await rm(framePath(join(data, 'z'), 3));
  // Every tenth step, with one that was written at the end.
  for (const t of [10, 20, 30, 45, 50]) await putFrames(join(data, 'b', 'deep'), t, t + 1);
  const npy = await codecForExtension('.npy');
  await writeFile(join(data, 'b', 'movie.npy'), await npy.encodeStack!([5, 16, 16], fields(5)));
  await writeFile(join(data, 'torn.raw'), littleEndian(fields(4)).subarray(0, -100));
  await putFrames(join(data, '.hidden'), 0, 4);
  await putFrames(join(home, 'elsewhere'), 0, 4);
  await symlink(join(home, 'elsewhere'), join(data, 'away'));
  await symlink(join(data, 'z'), join(data, 'linked'));
  await writeFile(join(data, 'notes.txt'), '');
});
afterAll(() => rm(home, { recursive: true }));

test('series are those that a run would follow, each frame at its place', async () => {
  const found = await list(data);
  expect(found.map(({ name, frames }) => [name, frames.map(({ place }) => place)])).toEqual([
    ['data/b/deep', [0, 1, 2, 4]],
    ['data/b/movie.npy', [0, 1, 2, 3, 4]],
    ['data/torn.raw', [0, 1, 2]],
    ['data/z', [0, 1, 2, 4, 5, 6, 7]], // of which there is a link
  ]);
  expect(notices).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/frame_0045\.png is left out: number 45 does not fit the numbering/),
      expect.stringMatching(/torn\.raw holds 3 whole frames/),
      expect.stringMatching(/links that leave .* are not followed/),
    ]),
  );

  await saveTiny(join(home, 'tiny'));
  const config = smallRun({
    directory: data,
    forecaster: join(home, 'tiny'),
    out: join(home, 'out'),
    codecs: CODECS,
  });
  const { frames } = await (await record(config)).finished;
  const followed = frames.filter(({ outcome }) => outcome !== 'rejected' && outcome !== 'lost');
  const keys = (pairs: readonly { series: string; index: number }[]): string[] =>
    pairs.map(({ series, index }) => `${series} ${index}`).sort();
  expect(keys(followed)).toEqual(keys(found.flatMap((one) => one.frames)));
});

test('one file of several frames is a series; globs choose among files', async () => {
  const [movie, ...others] = await list(join(data, 'b', 'movie.npy'));
  expect(others).toEqual([]);
  const { field } = await readRecorded(movie!.frames[2]!, await openCodecs(1, CODECS));
  expect(field.data).toEqual(movingField(2, SHAPE));
  expect((await list(data, { include: ['movie.*'] })).map(({ name }) => name)).toEqual(['data/b/movie.npy']);
  expect((await list(data, { ignore: ['b', 'torn.raw'] })).map(({ name }) => name)).toEqual(['data/z']);
});

test('what cannot be read is told with its file', async () => {
  await expect(list(join(home, 'nowhere'))).rejects.toThrow('there is no ');
  await mkdir(join(home, 'empty'));
  expect(await list(join(home, 'empty'))).toEqual([]);
  await putFrames(join(home, 'twice'), 0, 3, { extension: '.npy', sampleType: 'float32' });
  await putFrames(join(home, 'twice'), 1, 2);
  await expect(list(join(home, 'twice'))).rejects.toThrow(/frame_0001\.\w+ and frame_0001\.\w+ both have/);
  const [series] = await list(join(data, 'z'));
  await writeFile(series!.frames[1]!.path, 'nothing of the kind');
  const codecs = await openCodecs(1);
  await expect(readRecorded(series!.frames[1]!, codecs)).rejects.toThrow(/frame_0001\.png: /);
});
