import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import sharp from 'sharp';
import type { Picture } from '../../src/pipeline/images/picture.js';
import { writePicture } from '../../src/pipeline/images/picture.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mesocast-picture-'));
});
afterAll(() => rm(folder, { recursive: true }));

const flat = (value: number, size = 64 * 64): Float32Array => new Float32Array(size).fill(value);
const picture: Picture = {
  context: flat(0),
  leads: [1, 50],
  predicted: [flat(100), flat(50)],
  truth: [flat(0), undefined],
  shape: [64, 64, 1],
  normalisation: { low: 0, high: 100 },
};
const draw = async (changes: Partial<Picture> = {}) => {
  const path = join(folder, 'picture.png');
  await writePicture(path, { ...picture, ...changes });
  const { data, info } = await sharp(path).raw().toBuffer({ resolveWithObject: true });
  const at = (x: number, y: number): number[] => [...data.subarray(3 * (y * info.width + x)).subarray(0, 3)];
  return { at, width: info.width, height: info.height, data };
};

test('predicted frames are above true ones, the context at the left, a missing one grey', async () => {
  const { at, width, height } = await draw();
  const [yellow, purple, empty] = [
    [253, 231, 37],
    [68, 1, 84],
    [226, 226, 226],
  ];
  const [upper, lower] = [height - 12 - 132 - 64, height - 12 - 64];
  expect(at(12 + 64, (upper + lower) / 2)).toEqual(purple);
  expect(at(width - 12 - 132 - 64, upper)).toEqual(yellow);
  expect(at(width - 12 - 132 - 64, lower)).toEqual(purple);
  expect(at(width - 12 - 64, upper)).not.toEqual(yellow);
  expect(at(width - 12 - 64, lower)).toEqual(empty);
  // Leads are written above their columns.
  const ink = (from: number): number => {
    let dots = 0;
    for (let x = from; x < from + 128; x++) for (let y = 0; y < 40; y++) if (at(x, y)[0] === 20) dots++;
    return dots;
  };
  expect(ink(width - 12 - 132 - 128)).toBeGreaterThan(100);
  expect(ink(width - 12 - 128)).toBeGreaterThan(ink(width - 12 - 132 - 128));
});

test('room for the context alone leaves the columns where they are', async () => {
  const [usual, room] = [await draw(), await draw({ context: 'room' })];
  expect(room.width).toBe(usual.width);
  const middle = Math.floor(usual.height / 2);
  expect(usual.at(12 + 64, middle)).not.toEqual([255, 255, 255]);
  expect(room.at(12 + 64, middle)).toEqual([255, 255, 255]);
  const right = usual.width - 12 - 132 - 64;
  expect(room.at(right, middle - 20)).toEqual(usual.at(right, middle - 20));
});

test('grey, frames larger than a tile, and colour', async () => {
  const large = await draw({
    colours: 'grey',
    shape: [640, 320, 1],
    context: flat(0, 640 * 320),
    predicted: [flat(100, 640 * 320), flat(50, 640 * 320)],
    truth: [flat(0, 640 * 320), undefined],
  });
  expect(large.height).toBeLessThan(400);
  expect(large.at(large.width - 12 - 40, large.height - 12 - 164 - 80)).toEqual([128, 128, 128]);
  const rgb = Float32Array.from({ length: 64 * 64 * 3 }, (_, at) => [100, 50, 0][at % 3] ?? 0);
  const coloured = await draw({ shape: [64, 64, 3], context: rgb, predicted: [rgb, rgb], truth: [rgb, rgb] });
  expect(coloured.at(coloured.width - 20, coloured.height - 20)).toEqual([255, 128, 0]);
});

test('frames that do not fit are refused', async () => {
  await expect(draw({ context: flat(0, 10) })).rejects.toThrow('a frame of 10 values');
  await expect(draw({ predicted: [] })).rejects.toThrow('2 leads, 0 predicted');
});
