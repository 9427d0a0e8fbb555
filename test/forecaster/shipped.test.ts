import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { loadForecaster } from '../../src/forecaster/folder.js';
import { loadForecasterSet } from '../../src/uncertainty/forecaster-set.js';

const FOLDER = 'forecasters';
const MOST_BYTES = 12e6;

interface System {
  readonly range?: readonly [number, number];
}
const { systems } = JSON.parse(readFileSync('bench/systems.json', 'utf8')) as {
  systems: Record<string, System>;
};
const shipped = readdirSync(FOLDER);

test('a forecaster ships for each system', () => expect(shipped.sort()).toEqual(Object.keys(systems).sort()));

test.each(shipped)('%s: range, size, and a card with the command that made it', async (name) => {
  const folder = join(FOLDER, name);
  const { settings } = await loadForecaster(folder);
  expect(settings.name).toBe(name);
  expect(settings.range).toEqual(systems[name]?.range);
  const bytes = readdirSync(folder).reduce((sum, file) => sum + statSync(join(folder, file)).size, 0);
  expect(bytes).toBeLessThan(MOST_BYTES);
  const card = readFileSync(join(folder, 'README.md'), 'utf8');
  expect(card).toMatch(new RegExp(`mesocast train .*--simulation ${name} .*--out `));
  const { options } = settings.training as { options: Record<string, unknown> };
  expect(card).toContain(`--iterations ${options['iterations'] as number}`);
  expect(card).toContain(`--leads ${options['leads'] as number}`);
});

test.each(shipped)('%s: its intervals belong to its weights', async (name) => {
  const set = await loadForecasterSet(join(FOLDER, name), {
    context: 10,
    horizon: 50,
    stride: 1,
    interval: 0.9,
  });
  expect(set.calibration?.members).toBe(set.members);
});
