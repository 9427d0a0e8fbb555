import type { ReportData, ScoreName } from '../evaluate.js';
import type { Statistic } from '../statistics.js';
import type { UncertaintyReport } from '../uncertainty-scores.js';
import { COLOURS, type Chart, type Line } from './chart.js';

/** The axis of leads: time where it is known, else frames. */
const ahead = ({ horizon, stride, time_per_lead: time }: ReportData): Pick<Chart, 'x' | 'xs'> => ({
  x:
    time === undefined
      ? stride === 1
        ? 'lead (frames ahead)'
        : 'frames ahead'
      : `time ahead${time.unit === undefined ? '' : ` (${time.unit})`}`,
  xs: Array.from({ length: horizon }, (_, l) => (l + 1) * (time?.value ?? stride)),
});

/** RMSE, skill and SSIM, each with its band over the series beside the baselines. */
export const scoreCharts = (report: ReportData): Chart[] => {
  const leads = ahead(report);
  const of = (name: string, score: ScoreName, colour: string, dashed = false): Line => {
    const { low, high } = report.over_series[score];
    return { name, colour, dashed, values: report[score], band: { low, high } };
  };
  const three = (own: ScoreName, persistence: ScoreName, linear: ScoreName): Line[] => [
    of('persistence', persistence, COLOURS.persistence, true),
    of('linear extrapolation', linear, COLOURS.linear, true),
    of('forecast', own, COLOURS.forecast),
  ];
  const { skill, linear_skill } = report.over_series;
  const skills = [...skill.low, ...linear_skill.low, ...report.skill, ...report.linear_skill];
  return [
    {
      id: 'rmse',
      title: 'Error',
      ...leads,
      y: 'RMSE (normalised values)',
      lines: three('rmse', 'persistence_rmse', 'linear_rmse'),
    },
    {
      id: 'skill',
      title: 'Skill over persistence',
      ...leads,
      y: '1 - RMSE / RMSE of persistence',
      domain: [Math.max(-1, Math.min(0, ...skills)), 1],
      lines: [
        of('linear extrapolation', 'linear_skill', COLOURS.linear, true),
        of('forecast', 'skill', COLOURS.forecast),
      ],
    },
    {
      id: 'ssim',
      title: 'Structural similarity',
      ...leads,
      y: 'SSIM',
      lines: three('ssim', 'persistence_ssim', 'linear_ssim'),
    },
  ];
};

const NAMES: Readonly<Record<Statistic, readonly [title: string, y: string]>> = {
  phase_fraction: ['Phase fraction', 'share of pixels above the threshold'],
  mean: ['Mean value', 'normalised value'],
  interface_length: ['Interface length', 'pixels'],
  characteristic_length: ['Characteristic length', 'pixels'],
  grains: ['Grains', 'number'],
  grain_area: ['Mean grain area', 'pixels'],
  least: ['Least value', 'normalised value'],
  greatest: ['Greatest value', 'normalised value'],
  change: ['Change from lead to lead', 'RMSE (normalised values)'],
  short_waves: ['Short waves', 'share of the variance'],
  checkerboard: ['Pattern of 4 x 4 pixels', 'root mean square (normalised values)'],
};

export const statisticsCharts = (report: ReportData): Chart[] => {
  const { leads, curves } = report.statistics;
  const perLead = (Object.keys(NAMES) as Statistic[]).map((name): Chart => {
    const { forecast, truth } = leads[name];
    const [title, y] = NAMES[name];
    return {
      id: name.replaceAll('_', '-'),
      title,
      ...ahead(report),
      y,
      lines: [
        { name: 'truth', colour: COLOURS.truth, values: truth.mean, band: truth },
        { name: 'forecast', colour: COLOURS.forecast, values: forecast.mean, band: forecast, dashed: true },
      ],
    };
  });
  const last = curves.at(-1);
  if (last === undefined) return perLead;
  const pair = ({ truth, forecast }: { truth: readonly number[]; forecast: readonly number[] }): Line[] => [
    { name: 'truth', colour: COLOURS.truth, values: truth },
    { name: 'forecast', colour: COLOURS.forecast, values: forecast, dashed: true },
  ];
  // Curves of frames of one size alone can be averaged.
  const at = `lead ${last.lead}${report.shapes.length > 1 ? `, ${last.shape} frames` : ''}`;
  return [
    ...perLead,
    {
      id: 'structure-factor',
      title: `Structure factor, ${at}`,
      x: 'wave number k (radians a pixel)',
      y: 'S(k) (normalised values squared)',
      xs: last.structure_factor.k,
      log: true,
      lines: pair(last.structure_factor),
    },
    {
      id: 'two-point',
      title: `Two-point correlation, ${at}`,
      x: 'distance (pixels)',
      y: 'correlation',
      xs: last.two_point.truth.map((_, r) => r),
      lines: pair(last.two_point),
    },
  ];
};

/** Percentage points: what the plots of calibration show at least, and how near to their level intervals should cover. */
const [MOST_OFF, WANTED] = [10, 3];

/** Empty for a forecaster that says nothing of its errors. */
export const uncertaintyCharts = (report: ReportData, uncertainty: UncertaintyReport): Chart[] => {
  const leads = ahead(report);
  const { spread, intervals } = uncertainty;
  const charts: Chart[] = [];
  if (spread !== undefined)
    charts.push({
      id: 'spread',
      title: 'Spread of the ensemble',
      ...leads,
      y: 'normalised values',
      lines: [
        { name: 'RMSE of the forecast', colour: COLOURS.forecast, values: report.rmse },
        { name: 'spread (root mean square)', colour: COLOURS.other, values: spread, dashed: true },
      ],
    });
  if (intervals === undefined) return charts;
  const bandColours = [COLOURS.forecast, COLOURS.linear, COLOURS.persistence, COLOURS.other];
  const constant = (value: number): number[] => intervals.levels.map(() => value);
  /** Points that the share inside is above its level: near the diagonal of the usual plot nothing could be told apart. */
  const reliability = (id: string, title: string, pick: 'all' | 'interface'): Chart => {
    const off = intervals.bands.map((band) =>
      (band[pick] ?? []).map((share, k) => 100 * (share - intervals.levels[k]!)),
    );
    const most = Math.max(MOST_OFF, ...off.flat().map(Math.abs));
    return {
      id,
      title,
      x: 'level of the interval',
      y: 'percentage points too many inside',
      xs: intervals.levels,
      domain: [-most, most],
      lines: [
        {
          name: `ideal ± ${WANTED}`,
          colour: '#999999',
          values: constant(0),
          band: { low: constant(-WANTED), high: constant(WANTED) },
          dashed: true,
        },
        ...intervals.bands.map((band, k): Line => ({
          name: `leads ${band.from}-${band.to}`,
          colour: bandColours[k % bandColours.length] ?? COLOURS.other,
          values: off[k] ?? [],
        })),
      ],
    };
  };
  return [
    ...charts,
    reliability('calibration', 'Calibration, all pixels', 'all'),
    ...(intervals.bands.some((band) => band.interface !== undefined)
      ? [reliability('calibration-interface', 'Calibration, interface pixels', 'interface')]
      : []),
    {
      id: 'coverage',
      title: 'Coverage of the 90 % intervals',
      ...leads,
      y: 'share of values inside',
      domain: [
        Math.min(0.7, ...[...intervals.coverage, ...intervals.interface_coverage].filter(Number.isFinite)),
        1,
      ],
      lines: [
        { name: '90 %', colour: '#999999', values: leads.xs.map(() => 0.9), dashed: true },
        { name: 'all pixels', colour: COLOURS.forecast, values: intervals.coverage },
        { name: 'interfaces', colour: COLOURS.persistence, values: intervals.interface_coverage },
      ],
    },
    {
      id: 'width',
      title: 'Mean width of the 90 % intervals',
      ...leads,
      y: 'normalised values',
      lines: [
        { name: 'all pixels', colour: COLOURS.forecast, values: intervals.width },
        { name: 'interfaces', colour: COLOURS.persistence, values: intervals.interface_width },
      ],
    },
    {
      id: 'crps',
      title: 'CRPS',
      ...leads,
      y: 'normalised values',
      lines: [
        {
          name: 'persistence (absolute error)',
          colour: COLOURS.persistence,
          values: intervals.persistence_mae,
          dashed: true,
        },
        { name: 'absolute error', colour: COLOURS.linear, values: intervals.mae, dashed: true },
        { name: 'forecast', colour: COLOURS.forecast, values: intervals.crps },
      ],
    },
  ];
};
