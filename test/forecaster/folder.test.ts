import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { assemble, buildNetwork, initialWeights } from '../../src/forecaster/forecaster.js';
import { loadForecaster, saveForecaster, shippedForecasters } from '../../src/forecaster/folder.js';
import { readSafetensors, writeSafetensors } from '../../src/forecaster/safetensors.js';
import { tinyForecaster, tinySettings } from '../support/tiny.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mesocast-forecaster-'));
});
afterEach(() => rm(folder, { recursive: true }));

test('what is saved is loaded again, to the bit, with the same hash', async () => {
  const saved = await tinyForecaster(5);
  await saveForecaster(folder, saved);
  expect((await readdir(folder)).sort()).toEqual(['forecaster.json', 'weights.safetensors']);
  const loaded = await loadForecaster(folder);
  expect(loaded.settings).toEqual(saved.settings);
  expect(loaded.weights).toEqual(saved.weights);
  expect(loaded.id).toEqual(saved.id);
  expect(loaded.id.hash).toMatch(/^[0-9a-f]{64}$/);
});

test('the hash changes with every weight and setting that a forecast depends on, not with notes', async () => {
  const { settings, weights, id } = await tinyForecaster(5);
  const hashes = new Set([id.hash]);
  for (const [name, weight] of Object.entries(weights)) {
    const changed = {
      ...weight,
      data: weight.data.map((value, k) => (k === weight.data.length - 1 ? value + 1e-3 : value)),
    };
    hashes.add((await assemble(settings, { ...weights, [name]: changed })).id.hash);
  }
  hashes.add((await assemble({ ...settings, boundary: 'periodic' }, weights)).id.hash);
  expect(hashes.size).toBe(Object.keys(weights).length + 2);
  expect((await assemble({ ...settings, training: { steps: 7 } }, weights)).id.hash).toBe(id.hash);
});

test('first weights come from the seed alone, and are as wide as their layer wants', async () => {
  const network = await buildNetwork(tinySettings());
  const weights = initialWeights(network, 1);
  expect(initialWeights(network, 1)).toEqual(weights);
  expect(initialWeights(network, 2)).not.toEqual(weights);
  const { data = new Float32Array() } = weights['predictor.layer0.weight'] ?? {};
  const deviation = Math.sqrt(data.reduce((sum, value) => sum + value ** 2, 0) / data.length);
  expect(deviation / (0.5 * Math.sqrt(2 / (1.04 * 9 * 16)))).toBeCloseTo(1, 1);
  expect(weights['predictor.layer0.forget']?.data.every((value) => value === 1)).toBe(true);
});

test('a forecaster of another format or with stray weights is refused', async () => {
  const { settings, weights } = await tinyForecaster();
  await saveForecaster(folder, {
    settings,
    weights: { ...weights, 'encoder.extra': { shape: [1], data: new Float32Array(1) } },
  });
  await expect(loadForecaster(folder)).rejects.toThrow('"encoder.extra" belongs to no stage');
  const text = await readFile(join(folder, 'forecaster.json'), 'utf8');
  await writeFile(join(folder, 'forecaster.json'), text.replace('"format": 1', '"format": 2'));
  await expect(loadForecaster(folder)).rejects.toThrow(/format is 2: allowed is 1/);
  await expect(loadForecaster('nosuch')).rejects.toThrow('there is no forecaster "nosuch"');
});

test('those that ship can be loaded by name', async () => {
  for (const name of await shippedForecasters()) expect((await loadForecaster(name)).id.name).toBe(name);
});

test('safetensors: the bytes are the format’s, and damage anywhere in the structure is told', () => {
  const tensors = {
    b: { shape: [2], data: Float32Array.from([1, -2]) },
    a: { shape: [], data: Float32Array.from([0.5]) },
  };
  const bytes = writeSafetensors(tensors, { note: 'x' });
  const length = Number(bytes.readBigUInt64LE());
  expect(length % 8).toBe(0);
  expect(JSON.parse(bytes.toString('utf8', 8, 8 + length))).toEqual({
    __metadata__: { note: 'x' },
    a: { dtype: 'F32', shape: [], data_offsets: [0, 4] },
    b: { dtype: 'F32', shape: [2], data_offsets: [4, 12] },
  });
  expect([0, 4, 8].map((at) => bytes.readFloatLE(8 + length + at))).toEqual([0.5, 1, -2]);
  expect(readSafetensors(bytes)).toEqual({ tensors, metadata: { note: 'x' } });
  for (let end = 0; end < bytes.length; end++)
    expect(() => readSafetensors(bytes.subarray(0, end))).toThrow();
});
