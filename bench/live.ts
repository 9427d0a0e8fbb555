import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { UsageError } from '../src/pipeline/errors.js';
import { ARMS, SYSTEM } from './live/arms.js';
import { attachTo } from './live/attached.js';
import { figuresOf, skillAt, type RunFigures } from './live/figures.js';
import { tablesOf, writeLivePage, type LiveRecord } from './live/page.js';
import { writeRecord } from './page.js';
import { fromRoot, loadSystems } from './systems.js';
import type { BenchOptions, Result } from './table.js';

const RECORD = 'bench/live.json';

/** Frames that forecasts are scored on after those that count: the horizon. */
const HORIZON = 50;
const readRecord = async (): Promise<LiveRecord> =>
  existsSync(fromRoot(RECORD)) ? (JSON.parse(await readFile(fromRoot(RECORD), 'utf8')) as LiveRecord) : {};

/**
 * Learning beside simulations that no forecaster was trained for (bench/systems.json): `mesocast attach` as from the
 * command line, frames at a steady pace, at the pace of the clock. Each run goes into bench/live.json when it is done, so
 * the bench goes on where it was stopped; docs/live-learning.md has tables and curves of what there is, with the commits that
 * it was measured with. `--part` names one
 * of the conditions; with another --first-seed, for development, one series of each is run and printed only.
 */
export const benchLive = async ({ systems, part, firstSeed, note }: BenchOptions): Promise<Result> => {
  const { live } = await loadSystems();
  const unknown =
    systems.find((name) => !(name in live.systems)) ??
    (part === undefined || part in ARMS ? undefined : part);
  if (unknown !== undefined)
    throw new UsageError(`there is no "${unknown}"`, {
      hint: `--system is one of ${Object.keys(live.systems).join(', ')}; --part is one of ${Object.keys(ARMS).join(', ')}`,
    });
  const git = (...args: string[]): string => spawnSync('git', args, { encoding: 'utf8' }).stdout.trim();
  const isChanged = git('status', '--porcelain', '--', 'src', 'plugins', 'forecasters') !== '';
  const commit = `${git('rev-parse', '--short', 'HEAD')}${isChanged ? '+' : ''}`;
  let record = firstSeed === undefined ? await readRecord() : {};
  for (const [arm, conditions] of Object.entries(ARMS)) {
    if (part !== undefined && part !== arm) continue;
    for (let k = 0; k < (firstSeed === undefined ? live.series : 1); k++)
      for (const [name, system] of Object.entries(live.systems)) {
        if (systems.length > 0 && !systems.includes(name)) continue;
        const seed = (firstSeed ?? live.firstSeed) + k;
        if (record[arm]?.[name]?.[seed] !== undefined) continue;
        const options = conditions.options.map((word) => (word === SYSTEM ? name : word));
        const attached = await attachTo(system, seed, { more: HORIZON, ...conditions, options });
        const figures: RunFigures = figuresOf(attached, commit);
        note(
          `${arm}, ${name}, seed ${seed}: skill ${skillAt(figures, conditions.frames).toFixed(2)}, forecasters changed at ${figures.changes.join(' ') || 'no frame'}`,
        );
        record = {
          ...record,
          [arm]: { ...record[arm], [name]: { ...record[arm]?.[name], [seed]: figures } },
        };
        if (firstSeed !== undefined) continue;
        await writeRecord(RECORD, record);
        await writeLivePage(record, live.systems);
      }
  }
  return { tables: tablesOf(record, live.systems), figures: {} };
};
