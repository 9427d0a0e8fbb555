import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UsageError } from '../src/pipeline/errors.js';
import type { ReportData } from '../src/evaluation/evaluate.js';
import { writeRecord } from './page.js';
import { barsOf, type Measured } from './quality/bars.js';
import {
  coverageOf,
  errorOf,
  figuresOf,
  fractionPoints,
  ssimShare,
  type Figures,
} from './quality/figures.js';
import { writeQualityPage } from './quality/page.js';
import { fromRoot, loadSystems, mesocast, simulate, type System } from './systems.js';
import type { BenchOptions, Result, Row } from './table.js';

/** The results that docs/quality.md shows: those of the held-out series alone. */
const RECORD = 'bench/quality.json';

export interface QualityRecord {
  readonly forecaster: string;
  readonly measured: Measured;
}

interface Asked {
  readonly size: string;
  readonly horizon: number;
}

/** What `evaluate` is told so that a forecaster's intervals are those that it is calibrated for; nothing if it is not. */
const intervalFlags = async (folder: string): Promise<readonly string[]> => {
  const path = join(folder, 'calibration.json');
  if (!existsSync(path)) return [];
  const { members, lagged } = JSON.parse(await readFile(path, 'utf8')) as {
    readonly members: number;
    readonly lagged?: boolean;
  };
  return [...(members > 1 ? ['--ensemble', String(members)] : []), ...(lagged ? ['--lagged'] : [])];
};

/** The forecaster's own range, and the system's threshold in it: the forecaster may declare another range. */
const normalisationFor = async (
  { range, threshold }: System,
  folder: string,
): Promise<(string | number)[]> => {
  const settings = JSON.parse(await readFile(join(folder, 'forecaster.json'), 'utf8')) as {
    range?: [number, number];
  };
  if (range === undefined || settings.range === undefined) return ['--threshold', threshold];
  const [low, high] = settings.range;
  const own = (range[0] + threshold * (range[1] - range[0]) - low) / (high - low);
  return ['--threshold', own, '--range', low, high];
};

const rowOf = (system: System, figures: Figures): Row[1] => ({
  persistence: figures.persistence,
  skill: figures.meanSkill,
  ...Object.fromEntries(Object.entries(figures.skillAt).map(([lead, value]) => [`at ${lead}`, value])),
  SSIM: figures.ssim,
  '1-SSIM share': ssimShare(figures),
  'linear better at': figures.linearBetterAt.length === 0 ? 'no lead' : figures.linearBetterAt.join(' '),
  'fraction points': fractionPoints(figures),
  'mean drift': figures.meanDrift.toExponential(1),
  ...Object.fromEntries(
    system.statistics.map((name) => [`${name.replaceAll('_', ' ')} %`, errorOf(figures, name)]),
  ),
});

const measure = async (
  name: string,
  system: System,
  firstSeed: number,
  { device, note }: BenchOptions,
): Promise<QualityRecord> => {
  const { heldOut } = await loadSystems();
  const { context, horizon, series } = heldOut;
  const forecaster = fromRoot(`forecasters/${name}`);
  const normalisation = await normalisationFor(system, forecaster);
  let hash = '';
  const reports = async ({ size, horizon: leads }: Asked, ways: readonly (readonly string[])[]) => {
    const folder = await mkdtemp(join(tmpdir(), 'mesocast-quality-'));
    try {
      const data = join(folder, 'series');
      simulate(system, { series, firstSeed, frames: context + leads, size }, data);
      const scored = ['--context', context, '--horizon', leads, ...normalisation];
      const all: ReportData[] = [];
      for (const flags of ways) {
        note(`${name}: ${series} series of ${size}, ${leads} leads ${flags.join(' ')}`);
        const out = join(folder, 'report');
        const more = [...flags, '--device', device, '--report', out];
        mesocast('evaluate', forecaster, data, ...scored, ...more);
        all.push(JSON.parse(await readFile(join(out, 'report.json'), 'utf8')) as ReportData);
      }
      hash ||= all[0]?.forecaster.hash ?? '';
      return all;
    } finally {
      await rm(folder, { recursive: true });
    }
  };
  const flags = await intervalFlags(forecaster);
  const usual = await reports({ size: '64', horizon }, flags.length === 0 ? [[]] : [[], flags]);
  const alone = async (asked: Asked): Promise<Figures> =>
    figuresOf((await reports(asked, [[]]))[0] as ReportData);
  return {
    measured: {
      usual: figuresOf(usual[0] as ReportData),
      coverage: coverageOf(usual.at(-1) as ReportData),
      sizes: {
        '96x160': await alone({ size: '96x160', horizon }),
        '256': await alone({ size: '256', horizon }),
      },
      rollOut: await alone({ size: '128', horizon: 200 }),
    },
    forecaster: hash,
  };
};

/**
 * The forecasters that ship, scored by `mesocast evaluate` against what they have to reach. By default on the held-out
 * series of bench/systems.json: seeds that nothing was trained on, calibrated on or chosen by. Their results go into
 * bench/quality.json and docs/quality.md; those of another --first-seed, for development, are printed only.
 */
export const benchQuality = async (options: BenchOptions): Promise<Result> => {
  const { heldOut, systems } = await loadSystems();
  const firstSeed = options.firstSeed ?? heldOut.firstSeed;
  const isHeldOut = firstSeed === heldOut.firstSeed;
  const unknown = options.systems.find((name) => !(name in systems));
  if (unknown !== undefined)
    throw new UsageError(`there is no system "${unknown}"`, {
      hint: `one of ${Object.keys(systems).join(', ')}`,
    });
  const tables: Row[][] = [];
  const figures: Record<string, number> = {};
  for (const [name, system] of Object.entries(systems)) {
    if (options.systems.length > 0 && !options.systems.includes(name)) continue;
    if (!existsSync(fromRoot(`forecasters/${name}`))) {
      options.note(`${name}: skipped, no forecaster for it ships`);
      continue;
    }
    const record = await measure(name, system, firstSeed, options);
    const { usual, sizes, rollOut } = record.measured;
    const cases = { '64': usual, ...sizes, '128': rollOut };
    tables.push(
      Object.entries(cases).map(([size, one]) => [
        `${name}, ${size}, ${one.series} series, ${one.horizon} leads`,
        rowOf(system, one),
      ]),
    );
    const bars = barsOf(system, record.measured);
    tables.push(
      bars.map(({ what, wanted, measured, reached }) => [
        `${name}: ${what}`,
        { wanted, measured, '': reached ? 'yes' : 'NO' },
      ]),
    );
    figures[`${name}_skill`] = usual.meanSkill;
    figures[`${name}_missed`] = bars.filter(({ reached }) => !reached).length;
    if (isHeldOut) {
      const path = fromRoot(RECORD);
      const before = existsSync(path)
        ? (JSON.parse(await readFile(path, 'utf8')) as Record<string, QualityRecord>)
        : {};
      await writeRecord(RECORD, { ...before, [name]: record });
      await writeQualityPage();
    }
  }
  return { tables, figures };
};
