import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { markdown, putIntoPage } from '../page.js';
import { fromRoot, loadSystems, type System } from '../systems.js';
import { barsOf, type Measured } from './bars.js';
import { errorOf, fractionPoints, ssimShare, type Figures } from './figures.js';

const f = (value: number | undefined, digits = 2): string => value?.toFixed(digits) ?? '';

const scores = (system: string, size: string, figures: Figures): string[] => [
  system,
  size,
  String(figures.series),
  String(figures.horizon),
  f(figures.persistence),
  f(figures.meanSkill, 3),
  ...[1, 10, 50].map((lead) => f(figures.skillAt[lead])),
  f(figures.ssim),
  f(ssimShare(figures)),
];

const details = (name: string, system: System, measured: Measured): string => {
  const { usual, rollOut } = measured;
  const rows = barsOf(system, measured).map(({ what, wanted, measured: reached, reached: is }) => [
    what,
    wanted,
    reached,
    is ? 'yes' : '**no**',
  ]);
  const others = [
    `phase fraction ${f(fractionPoints(usual), 1)} points off`,
    `mean value drifts by ${usual.meanDrift.toExponential(1)}`,
    ...system.statistics.map((s) => `${s.replaceAll('_', ' ')} ${f(errorOf(usual, s), 1)} % off`),
  ];
  return `### ${name}\n\n${markdown(['', 'wanted', 'measured', 'reached'], rows)}\n\nAt lead ${usual.horizon}: ${others.join(', ')}. On ${rollOut.series} series of 128 x 128, skill ${f(rollOut.skillAt[200])} at lead 200.`;
};

/** Writes what bench/quality.json has into docs/quality.md. */
export const writeQualityPage = async (): Promise<void> => {
  const path = fromRoot('bench/quality.json');
  if (!existsSync(path)) return;
  const record = JSON.parse(await readFile(path, 'utf8')) as Record<string, { measured: Measured }>;
  const { systems } = await loadSystems();
  const measured = Object.keys(systems).flatMap((name) => {
    const found = record[name];
    return found === undefined ? [] : [[name, systems[name] as System, found.measured] as const];
  });
  const head = ['system', 'frames', 'series', 'leads', 'persistence RMSE', 'mean skill'];
  const rows = measured.flatMap(([name, , { usual, sizes, rollOut }]) =>
    Object.entries({ '64': usual, ...sizes, '128': rollOut }).map(([size, one]) =>
      scores(name, size.includes('x') ? size : `${size}x${size}`, one),
    ),
  );
  const table = markdown([...head, 'at 1', 'at 10', 'at 50', 'SSIM at last', '1-SSIM share'], rows);
  await putIntoPage('quality.md', 'quality', [table, ...measured.map((one) => details(...one))].join('\n\n'));
};
