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

/** Writes the table of docs/quality.md. */
export const writePredictorsPage = async ({ budget, cells }: PredictorsRecord): Promise<void> => {
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
  for (const [system, row] of Object.entries(cells)) {
    const ships = await shipped(system);
    for (const [predictor, cell] of Object.entries(row))
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
    `The budget was ${budget} CPU seconds on one thread; CPU s is what each training took of it.\n\n${markdown(head, rows)}`,
  );
};
