import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ReportData } from '../src/evaluation/evaluate.js';
import type { Statistic } from '../src/evaluation/statistics.js';
import type { BenchOptions, Result, Row } from './table.js';

const fromRoot = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

interface Systems {
  readonly heldOut: Readonly<Record<'firstSeed' | 'series' | 'frames' | 'context' | 'horizon', number>>;
  readonly systems: Readonly<
    Record<string, { simulation: string; threshold: number; options: Readonly<Record<string, unknown>> }>
  >;
}

/** Held-out series of one system, in a size, to a horizon. */
interface Case {
  readonly size: string;
  readonly series: number;
  readonly horizon: number;
}

const cli = (...args: (string | number)[]): void => {
  const { status, stderr } = spawnSync(
    process.execPath,
    [fromRoot('dist/src/cli/main.js'), ...args.map(String)],
    { encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(`mesocast ${args.join(' ')} failed: ${stderr.trim()}`);
};

const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** Relative error of a statistic's mean over series at the last lead, in percent. */
const offBy = ({ statistics }: ReportData, name: Statistic): number => {
  const { forecast, truth } = statistics.leads[name];
  const [f, t] = [forecast.mean.at(-1) ?? 0, truth.mean.at(-1) ?? 0];
  return (100 * Math.abs(f - t)) / Math.abs(t);
};

const figuresOf = (report: ReportData) => {
  const last = report.horizon - 1;
  const lost = (ssim: readonly number[]): number => 1 - (ssim[last] ?? 0);
  const beatsLinear = report.rmse.every((rmse, l) => l < 2 || rmse < (report.linear_rmse[l] ?? 0));
  const { forecast, truth } = report.statistics.leads.mean;
  const drift = Math.max(...forecast.mean.map((value, l) => Math.abs(value - (truth.mean[l] ?? 0))));
  const points =
    100 *
    Math.abs(
      (report.statistics.leads.phase_fraction.forecast.mean[last] ?? 0) -
        (report.statistics.leads.phase_fraction.truth.mean[last] ?? 0),
    );
  return {
    persistence: mean(report.persistence_rmse),
    skill: report.mean_skill,
    'at 10': report.skill[9],
    'at last': report.skill[last],
    SSIM: report.ssim[last],
    '1-SSIM share': lost(report.ssim) / lost(report.persistence_ssim),
    'beats linear': beatsLinear ? 'yes' : 'no',
    'fraction points': points,
    'mean drift': drift.toExponential(1),
    'length %': offBy(report, 'characteristic_length'),
    'grain area %': offBy(report, 'grain_area'),
  };
};

/**
 * The forecasters that ship, scored by `mesocast evaluate` on the held-out series of bench/systems.json: seeds that
 * nothing was trained on, calibrated on or chosen by.
 */
export const benchQuality = async ({ device, note }: BenchOptions): Promise<Result> => {
  const { heldOut, systems } = JSON.parse(await readFile(fromRoot('bench/systems.json'), 'utf8')) as Systems;
  const { firstSeed, context, horizon } = heldOut;
  const cases: readonly Case[] = [
    { size: '64', series: heldOut.series, horizon },
    { size: '96x160', series: 4, horizon },
    { size: '256', series: 2, horizon },
    { size: '64', series: 4, horizon: 200 },
  ];
  const tables: Row[][] = [];
  const figures: Record<string, number> = {};
  for (const [system, { simulation, threshold, options }] of Object.entries(systems)) {
    if (!existsSync(fromRoot(`forecasters/${system}`))) {
      note(`${system}: skipped, no forecaster for it ships`);
      continue;
    }
    const table: Row[] = [];
    for (const { size, series, horizon: leads } of cases) {
      const folder = await mkdtemp(join(tmpdir(), 'mesocast-quality-'));
      const data = join(folder, 'held-out');
      const flags = Object.entries(options).flatMap(([name, value]) => [`--${kebab(name)}`, String(value)]);
      const made = ['--count', series, '--seed', firstSeed, '--frames', context + leads, '--size', size];
      cli('simulate', simulation, ...flags, ...made, '--format', 'npy', '--out', data);
      const scored = ['--context', context, '--horizon', leads, '--threshold', threshold, '--device', device];
      cli('evaluate', system, data, ...scored, '--report', join(folder, 'report'));
      const report = JSON.parse(await readFile(join(folder, 'report', 'report.json'), 'utf8')) as ReportData;
      table.push([`${system}, ${size}, ${series} series, ${leads} leads`, figuresOf(report)]);
      figures[`${system}_${size}_${leads}_skill`] = report.mean_skill;
      await rm(folder, { recursive: true });
    }
    tables.push(table);
  }
  return { tables, figures };
};
