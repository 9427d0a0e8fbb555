import { expect, test } from '@jest/globals';
import { uniformNumbers } from '../../src/pipeline/random.js';
import { fuzzOnce, fuzzSeeds, newTally } from '../support/codec-fuzz.js';

const folder = new URL('../../../test/codecs/golden/', import.meta.url);

test('mutated files of every format are read or refused, torn ones never, flips under a checksum never', async () => {
  const random = uniformNumbers(5);
  const seeds = await fuzzSeeds(folder);
  expect(new Set(seeds.map(({ format }) => format))).toEqual(
    new Set(['png', 'tiff', 'npy', 'npz', 'jpeg', 'webp', 'vti', 'vtk', 'vtu', 'hdf5', 'mrc', 'raw']),
  );
  const tally = newTally();
  for (const seed of seeds) for (let i = 0; i < 30; i++) await fuzzOnce(seed, random, tally);
  expect(tally.failures).toEqual([]);
  expect(tally.cutRefused).toBeGreaterThan(0.9 * tally.cut);
}, 120_000);
