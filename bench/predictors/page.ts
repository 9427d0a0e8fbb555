import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { markdown, putIntoPage } from '../page.js';
import { fromRoot } from '../systems.js';
import type { CellResult } from './cell.js';

/** bench/predictors.json */
export interface PredictorsRecord {
  /** CPU seconds of training a cell. */
  readonly budget: number;
  readonly cells: Readonly<Record<string, Readonly<Record<string, CellResult>>>>;
}

/** The predictor of the forecaster that ships for a system. */
const shipped = async (system: string): Promise<string | undefined> => {
  const path = fromRoot(`forecasters/${system}/forecaster.json`);
  if (!existsSync(path)) return undefined;
  return (JSON.parse(await readFile(path, 'utf8')) as { predictor: { name: string } }).predictor.name;
};

type Rows = readonly (readonly [predictor: string, cell: CellResult])[];

/** What the cells say of the predictor that ships. */
const verdict = (system: string, ships: string | undefined, row: Rows): string | undefined => {
  const [best, next] = row.toSorted(([, a], [, b]) => b.meanSkill - a.meanSkill);
  const own = row.find(([predictor]) => predictor === ships);
  if (ships === undefined || own === undefined || best === undefined) return undefined;
  const skill = ([predictor, cell]: Rows[number]): string => `${predictor} ${cell.meanSkill.toFixed(2)}`;
  const far = row.reduce((a, b) => ((b[1].skill.at(-1) ?? 0) > (a[1].skill.at(-1) ?? 0) ? b : a));
  const cost = `a forecast takes ${own[1].forecastMs.toFixed(0)} ms`;
  const first =
    best === own
      ? `${ships} ships: the best mean skill${next === undefined ? '' : ` (next: ${skill(next)})`}`
      : `${ships} ships, though ${best[0]} has the better mean skill at this budget`;
  const last = far === own ? 'and the best at lead 50' : `at lead 50 ${far[0]} is best`;
  return `- ${system}: ${first}, ${last}; ${cost}.`;
};

/** Writes the table of docs/quality.md, and what it says, systems and predictors in the order that is given. */
export const writePredictorsPage = async (
  { budget, cells }: PredictorsRecord,
  systems: readonly string[],
  predictors: readonly string[],
): Promise<void> => {
  const head = [
    'system',
    'predictor',
    'mean skill',
    'at 10',
    'at 50',
    'weights',
    'steps',
    'CPU s',
    'CPU ms a forecast',
  ];
  const rows: string[][] = [];
  const verdicts: string[] = [];
  for (const system of systems) {
    const ships = await shipped(system);
    const row: Rows = predictors.flatMap((predictor) => {
      const cell = cells[system]?.[predictor];
      return cell === undefined ? [] : [[predictor, cell] as const];
    });
    const said = verdict(system, ships, row);
    if (said !== undefined) verdicts.push(said);
    for (const [predictor, cell] of row)
      rows.push([
        system,
        predictor === ships ? `**${predictor}** (ships)` : predictor,
        cell.meanSkill.toFixed(3),
        (cell.skill[9] ?? 0).toFixed(2),
        (cell.skill[49] ?? 0).toFixed(2),
        cell.weights.toLocaleString('en'),
        String(cell.iterations),
        cell.cpuSeconds.toFixed(0),
        cell.forecastMs.toFixed(0),
      ]);
  }
  await putIntoPage(
    'quality.md',
    'predictors',
    `The budget was ${budget} CPU seconds on one thread; CPU s is what each training took of it.\n\n${markdown(head, rows)}\n\nBy these cells:\n\n${verdicts.join('\n')}`,
  );
};
