import { mkdir, writeFile } from 'node:fs/promises';
import { COLOURS, svgOf, type Chart } from '../src/evaluation/report/chart.js';
import { exponentOf, lineThrough } from './laws/fit.js';
import { dendriteArm, grainArea, spinodalLength, type Measured } from './laws/measures.js';
import { markdown, putIntoPage } from './page.js';
import { fromRoot } from './systems.js';
import type { BenchOptions, Result } from './table.js';

interface Law {
  readonly what: string;
  readonly law: string;
  readonly found: string;
  readonly chart: Chart;
}

/** What lies in the part of a run that a law is fitted to. */
const from = ({ times, values }: Measured, first: number): Measured => {
  const k = times.findIndex((t) => t >= first);
  return { times: times.slice(k), values: values.slice(k) };
};

const chartOf = (
  { times, values }: Measured,
  fitted: (t: number) => number,
  words: Pick<Chart, 'id' | 'title' | 'x' | 'y'> & { readonly fit: string; readonly log?: boolean },
): Chart => ({
  ...words,
  xs: times,
  lines: [
    { name: 'simulation, 256 x 256', colour: COLOURS.forecast, values },
    { name: words.fit, colour: COLOURS.persistence, values: times.map(fitted), dashed: true },
  ],
});

const spinodal = async (): Promise<Law> => {
  const measured = await spinodalLength();
  const late = from(measured, 200);
  const n = exponentOf(late.times, late.values);
  const cubes = lineThrough(late.times.map(Math.cbrt), late.values);
  return {
    what: 'spinodal: characteristic length L',
    law: 'L ~ t^(1/3) (Lifshitz and Slyozov 1961)',
    found: `exponent ${n.toFixed(3)} for t from 200 to 2000; L = ${cubes.intercept.toFixed(1)} + ${cubes.slope.toFixed(2)} t^(1/3) explains ${(100 * cubes.r2).toFixed(2)} % of the variance`,
    chart: chartOf(measured, (t) => cubes.intercept + cubes.slope * Math.cbrt(t), {
      id: 'spinodal-length',
      title: 'Spinodal decomposition coarsens',
      x: 'time t',
      y: 'characteristic length L',
      fit: 'a + b t^(1/3)',
      log: true,
    }),
  };
};

const grains = async (): Promise<Law> => {
  const measured = await grainArea();
  const late = from(measured, 100);
  const line = lineThrough(late.times, late.values);
  const grown = late.values.map((area) => area - line.intercept);
  return {
    what: 'grain growth: mean grain area A',
    law: 'A - A0 ~ t (Burke and Turnbull 1952)',
    found: `A = ${line.intercept.toFixed(0)} + ${line.slope.toFixed(2)} t explains ${(100 * line.r2).toFixed(2)} % of the variance for t from 100 to 400; exponent of A - ${line.intercept.toFixed(0)}: ${exponentOf(late.times, grown).toFixed(3)}, of A alone: ${exponentOf(late.times, late.values).toFixed(3)}`,
    chart: chartOf(measured, (t) => line.intercept + line.slope * t, {
      id: 'grain-area',
      title: 'Grains grow',
      x: 'time t',
      y: 'mean area A (cells)',
      fit: 'A0 + b t',
    }),
  };
};

const dendrite = async (): Promise<Law> => {
  const measured = await dendriteArm();
  const end = measured.times.at(-1) ?? 0;
  const late = from(measured, end / 3);
  const line = lineThrough(late.times, late.values);
  const half = Math.floor(late.times.length / 2);
  const speeds = [
    lineThrough(late.times.slice(0, half), late.values.slice(0, half)),
    lineThrough(late.times.slice(half), late.values.slice(half)),
  ].map(({ slope }) => slope.toFixed(2));
  return {
    what: 'dendrite: length of an arm',
    law: 'grows at a steady velocity (Kobayashi 1993)',
    found: `velocity ${line.slope.toFixed(2)} for t from ${(end / 3).toFixed(2)} to ${end.toFixed(2)}, a straight line explains ${(100 * line.r2).toFixed(2)} % of the variance; ${speeds.join(' in the first half of it, ')} in the second`,
    chart: chartOf(measured, (t) => line.intercept + line.slope * t, {
      id: 'dendrite-tip',
      title: 'A dendrite tip moves steadily',
      x: 'time t',
      y: 'length of an arm',
      fit: 'a + v t',
    }),
  };
};

/** The laws of physics that simulations must follow, at 256 x 256: figures and fits of docs/simulations.md. */
export const benchLaws = async ({ note }: BenchOptions): Promise<Result> => {
  const folder = fromRoot('docs/laws');
  await mkdir(folder, { recursive: true });
  const laws: Law[] = [];
  for (const measure of [dendrite, spinodal, grains]) {
    const law = await measure();
    note(`${law.what}: ${law.found}`);
    await writeFile(`${folder}/${law.chart.id}.svg`, `${svgOf(law.chart)}\n`);
    laws.push(law);
  }
  const pictures = laws.map(({ what, chart }) => `![${what}](laws/${chart.id}.svg)`);
  const rows = laws.map(({ what, law, found }) => [what, law, found]);
  await putIntoPage(
    'simulations.md',
    'laws',
    `${markdown(['', 'law', 'found'], rows)}\n\n${pictures.join('\n\n')}`,
  );
  return { tables: [], figures: {} };
};
