import { coverageText } from '../coverage-text.js';
import type { ReportData } from '../evaluate.js';
import { STATISTICS } from '../statistics.js';
import { escaped, svgOf, type Chart } from './chart.js';
import type { ReportPicture } from './pictures.js';

/** What the page is made of. */
export interface PageParts {
  readonly report: ReportData;
  readonly data: readonly string[];
  readonly pictures: readonly ReportPicture[];
  readonly scores: readonly Chart[];
  readonly statistics: readonly Chart[];
  /** Empty for a forecaster that says nothing of its errors. */
  readonly uncertainty: readonly Chart[];
}

const STYLE = `
body { font: 15px/1.5 Helvetica, Arial, sans-serif; color: #222; max-width: 1100px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.6em; } h2 { margin-top: 2em; border-bottom: 1px solid #ccc; }
figure { margin: 1em 0; } figure img { max-width: 100%; } figcaption { font-size: 0.9em; color: #444; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(480px, 1fr)); gap: 1em; }
.charts svg { width: 100%; height: auto; }
table { border-collapse: collapse; font-size: 0.9em; } th, td { padding: 0.2em 0.8em; text-align: right; border-bottom: 1px solid #e2e2e2; }
th:first-child, td:first-child { text-align: left; }
.scroll { overflow-x: auto; }
`;

const number = (value: number | undefined, digits = 3): string =>
  value === undefined || !Number.isFinite(value) ? '' : value.toFixed(digits);
const percent = (value: number | undefined): string =>
  value === undefined ? 'none there' : `${number(100 * value, 1)} %`;

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  `<div class="scroll"><table><thead><tr>${head.map((cell) => `<th>${escaped(cell)}</th>`).join('')}</tr></thead><tbody>${rows
    .map((row) => `<tr>${row.map((cell) => `<td>${escaped(cell)}</td>`).join('')}</tr>`)
    .join('')}</tbody></table></div>`;

const charts = (list: readonly Chart[]): string => `<div class="charts">${list.map(svgOf).join('')}</div>`;

/** Leads that the tables show. */
const tableLeads = (horizon: number): number[] =>
  [...new Set([1, 2, 5, 10, 20, 30, 40, 50, 100, 200, horizon])]
    .filter((lead) => lead <= horizon)
    .sort((a, b) => a - b);

/** A lead in the time of the run, where that is known. */
const timeOf = ({ time_per_lead: time }: ReportData, lead: number): string =>
  time === undefined
    ? ''
    : `${Number((lead * time.value).toPrecision(6))}${time.unit === undefined ? '' : ` ${time.unit}`}`;

/** Folders that the page names; of more it says how many. */
const MOST_NAMED = 4;
const named = (data: readonly string[]): string => {
  const names = data.slice(0, MOST_NAMED).map(escaped).join(', ');
  return data.length > MOST_NAMED ? `${names} and ${data.length - MOST_NAMED} more` : names;
};

const summary = ({ report, data }: PageParts): string => {
  const { horizon, per_series: each } = report;
  const trusted = report.trusted_leads;
  const everyone = Math.min(...each.map((one) => one.trusted_leads));
  const worse = report.rmse.flatMap((value, l) => (value < (report.linear_rmse[l] ?? 0) ? [] : [l + 1]));
  const lines = [
    `Mean skill over persistence, leads 1 to ${horizon}: <b>${number(report.mean_skill)}</b>; of single series ${number(Math.min(...each.map((one) => one.mean_skill)))} to ${number(Math.max(...each.map((one) => one.mean_skill)))}.`,
    `SSIM at lead ${horizon}: <b>${number(report.ssim.at(-1))}</b>; persistence ${number(report.persistence_ssim.at(-1))}, linear extrapolation ${number(report.linear_ssim.at(-1))}.`,
    `Better than "nothing changes" ${trusted === horizon ? 'at every lead' : trusted === 0 ? 'not even at lead 1' : `up to lead ${trusted}`}; in every single series ${everyone === 0 ? 'at none' : `up to lead ${everyone}`}.`,
    `Better than linear extrapolation ${worse.length === 0 ? 'at every lead' : `except at lead${worse.length === 1 ? '' : 's'} ${worse.slice(0, 12).join(', ')}${worse.length > 12 ? ', ...' : ''}`}.`,
  ];
  const few =
    each.length < 8
      ? ` <b>${each.length} series are few</b>: what another run would give may lie well outside of the bands.`
      : '';
  return `<p>Forecaster <b>${escaped(report.forecaster.name)}</b> (${report.forecaster.hash.slice(0, 12)}) on ${report.windows} forecasts from ${each.length} series of ${report.shapes.map(escaped).join(', ')} frames in ${named(data)}; each stands on ${report.context} frames and reaches ${horizon} leads of ${report.stride} frame${report.stride === 1 ? '' : 's'}${report.time_per_lead === undefined ? '' : `, ${escaped(timeOf(report, 1))} each`}.</p>
<ul>${lines.map((line) => `<li>${line}</li>`).join('')}</ul>
<p>All values are normalised: 0 and 1 are the least and the greatest value of a series' first ${report.context} frames, the range that the forecaster was trained with where these frames fit it, or the range that was given. Lines of scores are of all forecasts together, those of statistics the mean over the series; bands hold the middle 80 % of the series (all of them when there are fewer than five). A series counts once, however many forecasts start in it: those overlap, and are no independent samples. The bands say how much one run differs from the next, not how exactly the line is known.${few} They hold for runs like these, and say nothing of other physics, other frame intervals, or other instruments.</p>`;
};

const scoreTable = ({ report }: PageParts): string =>
  table(
    [
      'lead',
      ...(report.stride === 1 ? [] : ['frames ahead']),
      ...(report.time_per_lead === undefined ? [] : ['time ahead']),
      'RMSE',
      'persistence',
      'linear',
      'skill',
      '10 to 90 % of series',
      'SSIM',
      'SSIM persistence',
    ],
    tableLeads(report.horizon).map((lead) => {
      const l = lead - 1;
      const { skill } = report.over_series;
      return [
        String(lead),
        ...(report.stride === 1 ? [] : [String(lead * report.stride)]),
        ...(report.time_per_lead === undefined ? [] : [timeOf(report, lead)]),
        number(report.rmse[l], 4),
        number(report.persistence_rmse[l], 4),
        number(report.linear_rmse[l], 4),
        number(report.skill[l]),
        `${number(skill.low[l])} to ${number(skill.high[l])}`,
        number(report.ssim[l]),
        number(report.persistence_ssim[l]),
      ];
    }),
  );

const statisticsTable = ({ report }: PageParts): string => {
  const last = report.horizon - 1;
  const digits = (value: number): number => (Math.abs(value) < 10 ? 4 : 1);
  return table(
    [`at lead ${report.horizon}`, 'truth', 'forecast', 'mean error of a series', 'of the truth'],
    STATISTICS.map((name) => {
      const { truth, forecast, error } = report.statistics.leads[name];
      const [t, f, e] = [truth.mean[last] ?? 0, forecast.mean[last] ?? 0, error[last] ?? 0];
      // Of a value near 0 a share says nothing, and there is none where the truth has none.
      const isShare = Math.abs(t) >= 1e-9 && !Number.isNaN(e);
      const share = name === 'least' || name === 'greatest' || !isShare ? '' : percent(e / Math.abs(t));
      return [
        name.replaceAll('_', ' '),
        number(t, digits(t)),
        number(f, digits(t)),
        number(e, digits(t)),
        share,
      ];
    }),
  );
};

const seriesTable = ({ report }: PageParts): string => {
  const leads = [...new Set([1, Math.min(10, report.horizon), report.horizon])];
  return table(
    [
      'series',
      'forecasts',
      'mean skill',
      ...leads.map((lead) => `skill at ${lead}`),
      'RMSE at last',
      'SSIM at last',
    ],
    report.per_series
      .toSorted((a, b) => a.mean_skill - b.mean_skill)
      .map((one) => [
        one.name,
        String(one.windows),
        number(one.mean_skill),
        ...leads.map((lead) => number(one.skill[lead - 1])),
        number(one.rmse.at(-1), 4),
        number(one.ssim.at(-1)),
      ]),
  );
};

const uncertaintyText = ({ report, uncertainty }: PageParts): string => {
  const known = report.uncertainty;
  if (known === undefined)
    return '<p>These forecasts carry no uncertainty. <code>--ensemble 4</code> gives them the spread of an ensemble; after <code>mesocast calibrate</code> they carry intervals, and this page measures how many of the true values lie inside.</p>';
  const members =
    known.members === 1
      ? `one forecaster's own${known.spread === undefined ? ', so it has no spread' : ''}`
      : `the average of ${known.members} members: the forecaster seen through symmetries of the plane, or several forecasters`;
  const made = `<p>Each forecast is ${members}.</p>`;
  const spread =
    known.spread === undefined
      ? ''
      : known.lagged
        ? '<p><b>Spread</b>: how far the forecast made one frame earlier is from this one, beside the error.</p>'
        : '<p><b>Spread</b>: the standard deviation over the members beside the error. Where it lies below the error, the members err together, and the spread alone would promise too much: the intervals make up for that.</p>';
  if (known.intervals === undefined)
    return `${made}${spread}${charts(uncertainty)}<p>It is not calibrated for this ensemble, so there are no intervals: see <code>mesocast calibrate</code>.</p>`;
  const { levels, bands } = known.intervals;
  const ninety = levels.indexOf(0.9);
  const rows = bands.map((band) => [
    `${band.from} to ${band.to}`,
    coverageText(band.all[ninety], band.standard_error?.all),
    coverageText(band.interface?.[ninety], band.standard_error?.interface),
    `${percent(band.series_range[0])} to ${percent(band.series_range[1])}`,
  ]);
  return `${made}${spread}
<p><b>Intervals</b> were calibrated on the series that <code>mesocast calibrate</code> was given; what follows is a test of them only if those were others. Of the true values, this share lies inside the 90 % intervals here; a series of its own may differ, as the last column says, and so would other series together, by the standard error behind ±:</p>
${table(['leads', 'all pixels', 'interface pixels', 'single series'], rows)}
<p><b>Calibration</b>: how many percentage points more of the true values lie inside the intervals than their level says; on the grey line the intervals keep what they promise, below it they are too narrow. Interface pixels are those where the truth changes by more than 0.1 a pixel. <b>Width</b>: how much the intervals leave open. <b>CRPS</b>: the error of the whole distribution, in normalised values, lower is better; a forecast without intervals would have its mean absolute error. Intervals are for single pixels: how many pixels of one frame lie outside together is not promised.</p>
${charts(uncertainty)}`;
};

/** One HTML page that needs nothing else: pictures and plots are inside, there are no scripts. */
export const pageOf = (parts: PageParts): string => {
  const { report, pictures } = parts;
  const figures = pictures.map(
    ({ title, png }) =>
      `<figure><img alt="${escaped(title)}" src="data:image/png;base64,${png.toString('base64')}"><figcaption>${escaped(title)}</figcaption></figure>`,
  );
  const { threshold, periodic } = report.statistics;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escaped(report.forecaster.name)}: evaluation</title><style>${STYLE}</style></head>
<body>
<h1>How well ${escaped(report.forecaster.name)} forecasts</h1>
${summary(parts)}
<h2>Pictures</h2>
<p>The last given frame (t) at the left, then one column for each lead. The first forecast of a series is shown.</p>
${figures.join('\n')}
<h2>Scores</h2>
<p><b>Error</b> is the root mean squared error over all pixels: 0 is perfect. <b>Skill</b> is 1 - error / error of persistence (the last given frame repeated): 1 is perfect, 0 no better than "nothing changes". <b>SSIM</b> is the structural similarity (7 x 7 windows, data range 1): 1 is equal. Linear extrapolation continues the last change, clipped to 0..1.</p>
${charts(parts.scores)}
${scoreTable(parts)}
<h2>Statistics</h2>
<p>Far ahead a forecast can be off pixel by pixel and still right in what matters: how much, how coarse, how many. Dashed lines are the forecast, black lines the truth; where they part, or their bands do, the forecast has another microstructure. Phases are divided at ${threshold} (normalised)${periodic ? ', frames are periodic' : ', frames end at their edges'}. Interface length is that of the contour at this value. The characteristic length is 2 pi over the mean wave number of the structure factor. Grains are regions above ${threshold} of 4 pixels or more: where there are no grains, read them as crystals, droplets or islands. A forecast that freezes <b>changes</b> less from lead to lead than the truth; one that blurs has less in <b>short waves</b> (below 4 pixels), one that grows mottled has more; the <b>pattern of 4 x 4 pixels</b> is what networks that work on blocks of pixels may leave.</p>
${charts(parts.statistics)}
${statisticsTable(parts)}
<h2>Uncertainty</h2>
${uncertaintyText(parts)}
<h2>Series</h2>
<p>The worst first.</p>
${seriesTable(parts)}
<p>All numbers are in report.json; docs/evaluation.md of mesocast says how each is computed.</p>
</body></html>
`;
};
