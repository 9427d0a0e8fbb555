import { coverageText } from '../../src/evaluation/coverage-text.js';
import { STATISTICS } from '../../src/evaluation/statistics.js';
import type { System } from '../systems.js';
import { errorOf, fractionPoints, ssimShare, type Coverage, type Figures } from './figures.js';

/** All that is measured of one forecaster. */
export interface Measured {
  /** Of the frames that it was trained for. */
  readonly usual: Figures;
  /** On frames of other sizes. */
  readonly sizes: Readonly<Record<string, Figures>>;
  readonly rollOut: Figures;
  /** Empty for a forecaster without a calibration. */
  readonly coverage: readonly Coverage[];
}

/** One thing that a forecaster has to reach, and what it does reach, in words. */
export interface Bar {
  readonly what: string;
  readonly wanted: string;
  readonly measured: string;
  readonly reached: boolean;
}

const MOST_SKILL_LOST = 0.05;
/** How far forecasts may leave the range of the truth, of normalised values. */
const BEYOND = 0.2;
/** Percent. */
const LONG_ERROR = 10;
const COVERAGE = { level: 0.9, within: 0.03 };

const f = (value: number, digits = 3): string => value.toFixed(digits);
const percent = (value: number): string => `${value.toFixed(1)} %`;

const atLeast = (what: string, wanted: number, measured: number): Bar => ({
  what,
  wanted: `at least ${f(wanted, 2)}`,
  measured: f(measured),
  reached: measured >= wanted,
});
const atMost = (what: string, wanted: number, measured: number, show = f): Bar => ({
  what,
  wanted: `at most ${show(wanted)}`,
  measured: show(measured),
  reached: measured <= wanted,
});

/** A long roll-out has to stay a microstructure: in its range, in motion, without the network's own texture. */
const rollOutBars = (system: System, rollOut: Figures): Bar[] => {
  const lead = `at lead ${rollOut.horizon}`;
  const [[least, greatest], [trueLeast, trueGreatest]] = [rollOut.values, rollOut.trueValues];
  const { change, short_waves: short, checkerboard } = rollOut.statistics;
  return [
    {
      what: `values up to lead ${rollOut.horizon}`,
      wanted: `${f(trueLeast - BEYOND, 2)} to ${f(trueGreatest + BEYOND, 2)}`,
      measured: `${f(least, 2)} to ${f(greatest, 2)}`,
      reached: least >= trueLeast - BEYOND && greatest <= trueGreatest + BEYOND,
    },
    {
      what: `change of a frame ${lead}, of the truth's`,
      wanted: '0.5 to 2',
      measured: f(change[0] / change[1], 2),
      reached: change[0] >= change[1] / 2 && change[0] <= change[1] * 2,
    },
    atMost(`variance in waves shorter than 4 pixels ${lead}`, 2 * short[1] + 0.005, short[0], (v) => f(v, 4)),
    atMost(`pattern of 4 x 4 pixels ${lead}`, 2 * checkerboard[1] + 0.005, checkerboard[0], (v) => f(v, 4)),
    ...system.statistics.map((name) =>
      atMost(`${name.replaceAll('_', ' ')} ${lead}, off by`, LONG_ERROR, errorOf(rollOut, name), percent),
    ),
  ];
};

const coverageBars = (coverage: readonly Coverage[]): Bar[] =>
  coverage.flatMap(({ from, to, all, interface: onInterface, standardError: error }) =>
    (
      [
        ['all pixels', all, error?.all],
        ['interface pixels', onInterface, error?.interface],
      ] as const
    ).flatMap(([pixels, share, within]) =>
      share === undefined
        ? []
        : [
            {
              what: `90 % intervals, leads ${from} to ${to}, ${pixels}`,
              wanted: '87 to 93 %',
              measured: coverageText(share, within),
              reached: Math.abs(share - COVERAGE.level) <= COVERAGE.within,
            },
          ],
    ),
  );

/** Everything that a forecaster has to reach on the series that nothing was chosen by. */
export const barsOf = (system: System, { usual, sizes, rollOut, coverage }: Measured): Bar[] => {
  const { bars } = system;
  const last = `at lead ${usual.horizon}`;
  return [
    atLeast('RMSE of persistence, mean over leads', bars.persistence, usual.persistence),
    atLeast('mean skill over persistence', bars.skill, usual.meanSkill),
    atMost(`1 - SSIM ${last}, share of persistence's`, 0.5, ssimShare(usual)),
    {
      what: 'better than linear extrapolation',
      wanted: 'at every lead from 3 on',
      measured: usual.linearBetterAt.length === 0 ? 'yes' : `not at ${usual.linearBetterAt.join(', ')}`,
      reached: usual.linearBetterAt.length === 0,
    },
    ...(bars.fractionPoints === undefined
      ? []
      : [atMost(`phase fraction ${last}, points off`, bars.fractionPoints, fractionPoints(usual))]),
    ...(bars.meanDrift === undefined
      ? []
      : [atMost('drift of the mean', bars.meanDrift, usual.meanDrift, (v) => v.toExponential(1))]),
    ...STATISTICS.flatMap((name) => {
      const most = bars[name];
      if (most === undefined) return [];
      return [atMost(`${name.replaceAll('_', ' ')} ${last}, off by`, most, errorOf(usual, name), percent)];
    }),
    ...Object.entries(sizes).map(([size, { meanSkill }]) =>
      atLeast(`mean skill on ${size}`, usual.meanSkill - MOST_SKILL_LOST, meanSkill),
    ),
    ...rollOutBars(system, rollOut),
    ...coverageBars(coverage),
  ];
};
