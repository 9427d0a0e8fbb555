import { mkdir, writeFile } from 'node:fs/promises';
import { COLOURS, svgOf, type Chart } from '../../src/evaluation/report/chart.js';
import { markdown, putIntoPage } from '../page.js';
import { fromRoot } from '../systems.js';
import { mean, median, type Row } from '../table.js';
import { ARMS } from './arms.js';
import { coverage, skillAt, worstStretch, type RunFigures } from './figures.js';

/** Of each condition, system and seed. */
export type LiveRecord = Readonly<
  Record<string, Readonly<Record<string, Readonly<Record<string, RunFigures>>>>>
>;
type Bars = Readonly<Record<string, { readonly bar: number }>>;

const BANDS = [
  [1, 5],
  [6, 20],
  [21, 50],
] as const;
const runsOf = (record: LiveRecord, arm: string, system: string): RunFigures[] =>
  Object.values(record[arm]?.[system] ?? {});
/** Commits that they were measured with. */
const programsOf = (runs: readonly RunFigures[]): string =>
  [...new Set(runs.map(({ program = 'unknown' }) => program))].join(' ');

/** How many of the leads with bounds held as many of them as they should, and the least and most that any held. */
const heldAsMeant = (runs: readonly RunFigures[]): string => {
  const leads = Math.max(...runs.map(({ bounds }) => bounds.length));
  const shares = Array.from({ length: leads }, (_, k) => 100 * coverage(runs, k + 1, k + 1)).filter(
    (share) => !Number.isNaN(share),
  );
  const meant = shares.filter((share) => share >= 85 && share <= 95);
  return `${meant.length} of ${shares.length}, ${Math.min(...shares).toFixed(0)}-${Math.max(...shares).toFixed(0)}`;
};

/** What was said of the forecasts: bounds and alarms. */
const judgedBy = (runs: readonly RunFigures[]): Row[1] => ({
  ...Object.fromEntries(BANDS.map(([from, to]) => [`held ${from}-${to} %`, 100 * coverage(runs, from, to)])),
  'leads held 85-95 %': heldAsMeant(runs),
  'false alarms': String(runs.flatMap(({ alarms }) => alarms).length),
});

const skillRow = (arm: string, system: string, bar: number, runs: readonly RunFigures[]): Row => {
  const stretches = runs.flatMap((run) => worstStretch(run) ?? []);
  const frames = ARMS[arm]?.frames ?? NaN;
  const skills = runs.map((run) => skillAt(run, frames));
  return [
    `${arm}: ${system}`,
    {
      runs: String(runs.length),
      frames: String(frames),
      skill: mean(skills),
      wanted: bar,
      'least, most': [Math.min(...skills), Math.max(...skills)].map((value) => value.toFixed(2)).join(' '),
      'worst 20': stretches.length === 0 ? '-' : Math.max(...stretches),
      ...judgedBy(runs),
      commit: programsOf(runs),
    },
  ];
};

/** Of runs that change after the first frames: how many frames of the change there were when the alarm was raised. */
const alarmRow = (arm: string, system: string, runs: readonly RunFigures[]): Row => {
  const change = ARMS[arm]?.frames ?? NaN;
  const after = runs.map(({ alarms }) => alarms.find((index) => index >= change));
  return [
    `${arm}: ${system}`,
    {
      runs: String(runs.length),
      'changes at frame': String(change),
      'alarm after': after.map((index) => (index === undefined ? 'never' : index - change + 1)).join(' '),
      'false alarms': String(runs.flatMap(({ alarms }) => alarms).filter((index) => index < change).length),
      'said again': String(
        runs.reduce(
          (sum, { alarms }) => sum + Math.max(0, alarms.filter((index) => index >= change).length - 1),
          0,
        ),
      ),
      commit: programsOf(runs),
    },
  ];
};

const [PACE_OFF, PACE_ON] = ['pace, learning off', 'pace, learning'] as const;
const isPace = (arm: string): boolean => arm === PACE_OFF || arm === PACE_ON;

/** Latencies with learning over those without, run by run. */
const paceRow = (record: LiveRecord, system: string): Row[] => {
  const [off, on] = [record[PACE_OFF]?.[system] ?? {}, record[PACE_ON]?.[system] ?? {}];
  const both = Object.keys(on).flatMap((seed) => {
    const [without, learning] = [off[seed], on[seed]];
    return without === undefined || learning === undefined ? [] : [{ without, learning }];
  });
  if (both.length === 0) return [];
  const times = both.map(({ without, learning }) => learning.latency.p99 / without.latency.p99);
  return [
    [
      `pace: ${system}`,
      {
        runs: String(both.length),
        'median s, off': median(both.map(({ without }) => without.latency.median)),
        'median s, learning': median(both.map(({ learning }) => learning.latency.median)),
        'p99 s, off': median(both.map(({ without }) => without.latency.p99)),
        'p99 s, learning': median(both.map(({ learning }) => learning.latency.p99)),
        'p99 over that off': median(times),
        wanted: 1.5,
        most: Math.max(...times),
        commit: programsOf(both.flatMap(({ without, learning }) => [without, learning])),
      },
    ],
  ];
};

/** What was said of the forecasts of the long runs in which it learns. */
const longRows = (record: LiveRecord, systems: readonly string[]): Row[] => {
  const row = (what: string, runs: readonly RunFigures[]): Row => [
    `${ARMS[PACE_ON]?.frames} frames: ${what}`,
    { runs: String(runs.length), ...judgedBy(runs), commit: programsOf(runs) },
  ];
  const learned = systems.map((system) => ({ system, runs: runsOf(record, PACE_ON, system) }));
  const all = learned.flatMap(({ runs }) => runs);
  if (all.length === 0) return [];
  return [...learned.map(({ system, runs }) => row(system, runs)), row('all', all)];
};

export const tablesOf = (record: LiveRecord, systems: Bars): Row[][] => {
  const arms = Object.keys(record);
  const skills = arms
    .filter((arm) => !isPace(arm))
    .map((arm) => {
      const isDoubled = ARMS[arm]?.doubled === true;
      const rows = Object.entries(systems).flatMap(([system, { bar }]) => {
        const runs = runsOf(record, arm, system);
        if (runs.length === 0) return [];
        return [isDoubled ? alarmRow(arm, system, runs) : skillRow(arm, system, bar, runs)];
      });
      const all = Object.keys(systems).flatMap((system) => runsOf(record, arm, system));
      if (rows.length < 2 || isDoubled) return rows;
      return [...rows, [`${arm}: all`, { runs: String(all.length), ...judgedBy(all) }] satisfies Row];
    });
  const paces = Object.keys(systems).flatMap((system) => paceRow(record, system));
  return [...skills, paces, longRows(record, Object.keys(systems))].filter((table) => table.length > 0);
};

/** Error over that of the better of persistence and linear extrapolation, mean over runs, by frame. */
const curve = (runs: readonly RunFigures[], xs: readonly number[]): number[] =>
  xs.map((index) => {
    const shares = runs.flatMap(({ firstIndex, forecast, persistence, linear }) => {
      const k = index - firstIndex;
      const [own, still, straight] = [forecast[k], persistence[k], linear[k]];
      if (own === undefined || still === undefined || straight === undefined) return [];
      return [own / Math.min(still, straight)];
    });
    return shares.length === 0 ? NaN : mean(shares);
  });

/** Parts whose curves are shown. */
const SHOWN = [
  ['scratch', 'from nothing, 6 s a frame', COLOURS.forecast],
  ['half budget', 'from nothing, 2 s a frame, half budget', COLOURS.linear],
  ['unnamed', 'with no forecaster named', COLOURS.truth],
  ['nearest', 'from the nearest forecaster that ships', COLOURS.other],
] as const;

const chartOf = (record: LiveRecord, system: string): Chart => {
  const all = SHOWN.map(([arm]) => runsOf(record, arm, system)).flat();
  const last = Math.max(...all.map(({ firstIndex, forecast }) => firstIndex + forecast.length - 1));
  const first = Math.min(...all.map(({ firstIndex }) => firstIndex));
  const xs = Array.from({ length: last - first + 1 }, (_, k) => first + k);
  return {
    id: system,
    title: `${system.replaceAll('_', ' ')}: what learning gives`,
    x: 'frames seen',
    y: 'error / better trivial one',
    xs,
    domain: [0, 1.5],
    lines: [
      ...SHOWN.filter(([arm]) => runsOf(record, arm, system).length > 0).map(([arm, name, colour]) => ({
        name,
        colour,
        values: curve(runsOf(record, arm, system), xs),
      })),
      { name: 'persistence or linear', colour: COLOURS.persistence, values: xs.map(() => 1), dashed: true },
    ],
  };
};

/** Puts tables and curves into docs/live-learning.md. */
export const writeLivePage = async (record: LiveRecord, systems: Bars): Promise<void> => {
  const folder = fromRoot('docs/live');
  await mkdir(folder, { recursive: true });
  const parts: string[] = [];
  for (const table of tablesOf(record, systems)) {
    const columns = [...new Set(table.flatMap(([, figures]) => Object.keys(figures)))];
    const cell = (value: string | number | undefined): string =>
      typeof value === 'number' ? value.toFixed(value < 10 ? 2 : 0) : (value ?? '');
    parts.push(
      markdown(
        ['', ...columns],
        table.map(([what, figures]) => [what, ...columns.map((column) => cell(figures[column]))]),
      ),
    );
  }
  for (const system of Object.keys(systems)) {
    if (SHOWN.every(([arm]) => runsOf(record, arm, system).length === 0)) continue;
    const chart = chartOf(record, system);
    await writeFile(`${folder}/${chart.id}.svg`, `${svgOf(chart)}\n`);
    parts.push(`![${chart.title}](live/${chart.id}.svg)`);
  }
  await putIntoPage('live-learning.md', 'measured', parts.join('\n\n'));
};
