import { chmod, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { calibrate } from '../../src/evaluation/calibrate.js';
import {
  evaluate,
  evaluateInDetail,
  type EvaluateOptions,
  type ReportData,
} from '../../src/evaluation/evaluate.js';
import { overSeries, quantile } from '../../src/evaluation/over-series.js';
import { uncertaintyCharts } from '../../src/evaluation/report/charts.js';
import { svgOf } from '../../src/evaluation/report/chart.js';
import { writePictures } from '../../src/evaluation/report/pictures.js';
import { writeReport } from '../../src/evaluation/report/write-report.js';
import { forecastOnce } from '../../src/pipeline/forecast-once.js';
import { attachSchema } from '../../src/pipeline/config/config.js';
import { mesocast } from '../support/cli.js';
import { putFrames, readNpy, saveTiny } from '../support/tiny.js';

const [CONTEXT, HORIZON] = [4, 3];
let home: string;
const at = (name: string): string => join(home, name);
const options = (more: Partial<EvaluateOptions> = {}): EvaluateOptions => ({
  forecaster: at('tiny'),
  data: [at('data')],
  context: CONTEXT,
  horizon: HORIZON,
  stride: 1,
  every: 2,
  device: 'cpu',
  threads: 1,
  ensemble: 2,
  ...more,
});
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-report-'));
  await saveTiny(at('tiny'), 1, 1);
  for (let seed = 0; seed < 4; seed++) {
    const files = { extension: '.npy', sampleType: 'float32', seed } as const;
    await putFrames(at(`data/run <${seed}>`), 0, 12, files);
    await putFrames(at(`kept/${seed}`), 20, 32, { ...files, seed: seed + 0.5 });
  }
});
afterAll(() => rm(home, { recursive: true }));

const forecast = (interval: number, more: object = {}) =>
  forecastOnce({
    ...options({ ensemble: undefined }),
    path: at('data/run <0>'),
    out: at('out'),
    range: undefined,
    interval,
    sinks: attachSchema.shape.sinks.parse([{ name: 'files', options: { format: 'npy' } }]),
    ...more,
  });

test('a forecaster has intervals once it is calibrated, and they are reported and forecast', async () => {
  await expect(forecast(0.9)).rejects.toThrow('has no intervals: it is not calibrated');
  const notices: string[] = [];
  const { path, calibration } = await calibrate(
    options({ data: [at('kept')], notice: (text) => notices.push(text) }),
  );
  expect(path).toBe(at('tiny/calibration.json'));
  expect(notices).toEqual([expect.stringContaining('calibrated on 4 series')]);
  expect(calibration).toMatchObject({ members: 2, series: 4, windows: 12 });
  await writeFile(path, JSON.stringify({ ...calibration, format: 1 }));
  await expect(forecast(0.9)).rejects.toThrow('its calibration was made by an earlier mesocast');
  await writeFile(path, JSON.stringify(calibration));
  expect(calibration.bands.at(-1)).toMatchObject({ to: HORIZON });

  // On the series that it was calibrated on the coverage is what was asked for.
  const { uncertainty } = await evaluate(options({ data: [at('kept')] }));
  const [band] = uncertainty?.intervals?.bands ?? [];
  expect(Math.abs((band?.all[8] ?? 0) - 0.9)).toBeLessThan(0.03);
  expect(Math.abs((band?.all[4] ?? 0) - 0.5)).toBeLessThan(0.03);
  expect(uncertainty?.intervals?.crps.every((value, l) => value < uncertainty.intervals!.mae[l]!)).toBe(true);

  const made = await forecast(0.9);
  const { members, spread, interval } = made.uncertainty ?? {};
  expect(members).toBe(2); // as it was calibrated
  expect(interval?.level).toBe(0.9);
  made.frames.forEach((value, i) => {
    expect(interval!.lower[i]).toBeLessThan(value);
    expect(interval!.upper[i]! - value).toBeCloseTo(value - interval!.lower[i]!, 5);
  });
  expect(Math.max(...spread!)).toBeGreaterThan(0);
  const written = await readNpy(at(`out/forecasts/run <0>/00000011.lower.npy`));
  expect(written).toEqual(interval!.lower);
  const wider = await forecast(0.99);
  expect(wider.uncertainty!.interval!.upper[7]).toBeGreaterThan(interval!.upper[7]!);

  await expect(forecast(0.85)).rejects.toThrow('interval is 0.85');
  await expect(forecast(0.9, { horizon: 4 })).rejects.toThrow('it is calibrated for 3 leads');
  await expect(forecast(0.9, { ensemble: 3 })).rejects.toThrow('other weights, or another ensemble');
  await saveTiny(at('tiny'), 2, 1);
  await expect(forecast(0.9)).rejects.toThrow('other weights');
  await saveTiny(at('tiny'), 1, 1);
});

test('intervals of a lagged ensemble follow how each series fares', async () => {
  await saveTiny(at('lagged'), 1, 1);
  const ofIt = { forecaster: at('lagged'), ensemble: undefined };
  const alone = await evaluate(options({ ...ofIt, data: [at('kept')] }));
  expect(alone.uncertainty).toBeUndefined();
  const { path, calibration } = await calibrate(options({ ...ofIt, lagged: true, data: [at('kept')] }));
  expect(calibration).toMatchObject({ members: 1, lagged: true });
  for (const { law } of calibration.bands.flatMap(({ classes }) => classes)) expect(law).toBeDefined();

  const { rmse, uncertainty } = await evaluate(options({ ...ofIt, lagged: true, data: [at('kept')] }));
  expect(rmse).toEqual(alone.rmse); // the newer member alone is the forecast
  expect(Math.abs((uncertainty?.intervals?.bands[0]?.all[8] ?? 0) - 0.9)).toBeLessThan(0.03);
  const made = await forecast(0.9, ofIt);
  const { members, spread, interval } = made.uncertainty ?? {};
  expect(members).toBe(1);
  expect(Math.max(...spread!)).toBeGreaterThan(0);
  made.frames.forEach((value, i) => expect(interval!.upper[i]! - value).toBeGreaterThan(0));

  // What is forecast takes its scales from the law.
  const text = await readFile(path, 'utf8');
  const more = JSON.parse(text) as typeof calibration;
  for (const { law } of more.bands.flatMap(({ classes }) => classes)) law!.constant += Math.log(2);
  for (const { edges } of more.bands.flatMap(({ classes }) => classes))
    edges.forEach((edge, k) => (edges[k] = 2 * edge));
  await writeFile(path, JSON.stringify(more));
  const wider = (await forecast(0.9, ofIt)).uncertainty!.interval!;
  made.frames.forEach((value, i) =>
    expect((wider.upper[i]! - value) / (interval!.upper[i]! - value)).toBeCloseTo(2, 2),
  );

  await expect(forecast(0.9, { ...ofIt, lagged: false })).rejects.toThrow(
    'it is calibrated for the lagged spread',
  );
  await expect(forecast(0.9, { lagged: true, forecaster: at('tiny') })).rejects.toThrow('has no intervals');
});

test('frames with fewer symmetries have fewer members: forecasts say so, and nothing is calibrated for others', async () => {
  const files = { extension: '.npy', sampleType: 'float32' } as const;
  for (const seed of [0, 1])
    await putFrames(at(`wide/${seed}`), 0, 12, { ...files, seed, shape: [12, 20, 1] });
  await saveTiny(at('turned'), 1, 1);
  const ofIt = { forecaster: at('turned'), ensemble: 6 };
  const notices: string[] = [];
  const notice = (text: string): unknown => notices.push(text);
  const made = await forecast(0.9, { ...ofIt, interval: undefined, path: at('wide/0'), notice });
  expect(made.uncertainty?.members).toBe(4);
  const fewer =
    '12x20x1 frames and their forecaster have no more symmetries: forecasts are of 4 members, not 6';
  expect(notices).toEqual([fewer]);
  const { uncertainty } = await evaluate(options({ ...ofIt, data: [at('wide'), at('data')] }));
  expect(uncertainty?.members).toBe(4);
  await expect(calibrate(options({ ...ofIt, data: [at('wide')] }))).rejects.toMatchObject({
    message: expect.stringContaining('have 4 members, not 6') as unknown,
    hint: expect.stringContaining('--ensemble 4') as unknown,
  });
  await calibrate(options({ ...ofIt, data: [at('kept')] }));
  await forecast(0.9, { ...ofIt, path: at('wide/0'), notice });
  expect(notices.at(-1)).toBe(
    `${fewer}; intervals are calibrated for those, and may cover more or less than they say`,
  );
});

test('a report is one page with plots and pictures, and the numbers beside it', async () => {
  const folder = at('report');
  const detail = await evaluateInDetail(options());
  await writeReport(folder, detail, ['data & more']);
  const page = await readFile(join(folder, 'report.html'), 'utf8');
  expect(page).not.toMatch(/<script|(?:src|href)="(?!data:)/);
  expect(page).toContain('data &amp; more');
  expect(page).toContain('run &lt;3&gt;');
  expect(page).not.toMatch(/NaN|Infinity|undefined/);
  const report = JSON.parse(await readFile(join(folder, 'report.json'), 'utf8')) as ReportData;
  const plain = await evaluate(options());
  expect(report.mean_skill).toBeCloseTo(plain.mean_skill, 6);
  expect(report.per_series.map(({ windows }) => windows)).toEqual([3, 3, 3, 3]);
  expect(report.statistics.leads.mean.truth.mean).toHaveLength(HORIZON);
  // The blob grows, so its fraction does.
  const { mean } = report.statistics.leads.phase_fraction.truth;
  expect(mean[2]).toBeGreaterThan(mean[0]!);
  const names = await readdir(folder);
  for (const name of ['forecast.png', 'errors.png', 'skill.png', 'two-point.png', 'calibration.png'])
    expect(names).toContain(name);
  for (const name of names.filter((file) => file.endsWith('.png')))
    expect((await sharp(join(folder, name)).metadata()).width).toBeGreaterThan(200);
  // Frames of the first series alone are kept.
  const [picture] = await writePictures(folder, { ...detail, examples: detail.examples.slice(0, 3) });
  expect(picture?.title).toContain('the series of median skill among the first 3: ');
});

test('a place that nothing can be written to is found before the work', async () => {
  await writeFile(at('taken'), '');
  const asked = ['evaluate', at('tiny'), at('no-such-data')];
  const { code, stderr } = await mesocast([...asked, '--report', at('taken')]);
  expect([code, stderr]).toEqual([3, expect.stringMatching(/the report cannot be written to .*taken/)]);
  if (process.getuid?.() === 0) return; // root may write everywhere
  await chmod(at('tiny'), 0o500);
  const progress: number[] = [];
  await expect(calibrate(options(), (done) => progress.push(done))).rejects.toThrow('cannot be written');
  await chmod(at('tiny'), 0o700);
  expect(progress).toEqual([]);
});

test('leads are told in time where it is known, and even', async () => {
  const timed = await evaluateInDetail(
    options({ frameInterval: { value: 0.05, unit: 's' }, stride: 2, horizon: 2, every: 1 }),
  );
  expect(timed.report.time_per_lead).toEqual({ value: 0.1, unit: 's' });
  await writeReport(at('timed'), timed, ['data']);
  const page = await readFile(join(at('timed'), 'report.html'), 'utf8');
  expect(page).toContain('time ahead (s)');
  expect(page).not.toContain('lead (frames ahead)');
  expect(page).toContain('leads of 2 frames, 0.1 s each');
  expect(page).toMatch(/<td>2<\/td>\s*<td>4<\/td>\s*<td>0\.2 s<\/td>/); // lead 2 is 4 frames ahead
  expect(page).toContain('at lead 2');

  // From files beside the frames; one series that is uneven, or without, leaves leads as they are.
  const beside = async (seed: number, time: (n: number) => number): Promise<void> =>
    writeFile(
      at(`data/run <${seed}>/times.csv`),
      `frame,time [s]\n${Array.from({ length: 12 }, (_, n) => `${n},${time(n)}`).join('\n')}\n`,
    );
  for (const seed of [0, 1, 2]) await beside(seed, (n) => 0.3 * n);
  expect((await evaluate(options())).time_per_lead).toBeUndefined();
  await beside(3, (n) => 7 + 0.3 * n);
  expect((await evaluate(options())).time_per_lead).toEqual({ value: 0.3, unit: 's' });
  await beside(3, (n) => 0.3 * n + (n > 9 ? 1 : 0));
  expect((await evaluate(options())).time_per_lead).toBeUndefined();
});

test('a band is over series: the middle 80 %, of few all', () => {
  expect(quantile([4, 1, 2, 3], 0.9)).toBeCloseTo(3.7, 12);
  expect(overSeries([[1], [5]])).toEqual({ mean: [3], low: [1], high: [5] });
  const { low, high } = overSeries(Array.from({ length: 11 }, (_, k) => [k]));
  expect([low[0], high[0]]).toEqual([1, 9]);
});

test('a plot leaves gaps for what is no number, and escapes its words', async () => {
  const svg = svgOf({
    id: 'a',
    title: 'a < b',
    x: 'x',
    y: 'y',
    xs: [1, 2, 3, 4],
    lines: [{ name: 'one & all', colour: '#000', values: [1, 2, NaN, 4] }],
  });
  expect(svg).toContain('a &lt; b');
  expect(svg).toContain('one &amp; all');
  const [path] = /d="(M[^"]*)" fill="none"/.exec(svg)?.slice(1) ?? [];
  expect(path?.match(/M/g)).toHaveLength(2);
  expect(path).not.toContain('NaN');
  expect((await sharp(Buffer.from(svg)).metadata()).format).toBe('svg');
});

test('the name of an axis keeps clear of long numbers, bands stay inside, legends have room', () => {
  const line = { name: 'a', colour: '#000', values: [0.00351, 0.00352] };
  const long = svgOf({ id: 'a', title: 't', x: 'x', y: 'y', xs: [1, 2], lines: [line] });
  const ends = [...long.matchAll(/<text x="([\d.]+)"[^>]*text-anchor="end">([^<]*)/g)];
  const left = Math.min(...ends.map(([, x, text]) => Number(x) - 7 * (text?.length ?? 0)));
  expect(ends.length).toBeGreaterThan(2);
  expect(left).toBeGreaterThan(22); // the name is around x = 15

  const band = { low: [-1, -1], high: [1, 1] };
  const lines = [{ name: 'a', colour: '#000', values: [0.1, 0.2], band }];
  const [clipped] =
    /<g clip-path.*<\/g>/s.exec(
      svgOf({ id: 'a', title: 't', x: 'x', y: 'y', xs: [1, 2], domain: [0, 1], lines }),
    ) ?? [];
  expect(clipped).toContain('opacity="0.18"');
});

test('a legend that is too long for a row goes on above the plot, which stays as it was', () => {
  const names = ['from nothing', 'from the nearest forecaster that ships', 'the better of the trivial two'];
  const drawn = (count: number): string => {
    const lines = names.slice(0, count).map((name) => ({ name, colour: '#000', values: [0, 1] }));
    return svgOf({ id: 'a', title: 'title', x: 'x', y: 'y', xs: [1, 2], lines });
  };
  const rows = (svg: string) =>
    names.flatMap((name) => {
      const [, x, y] = new RegExp(`<text x="([\\d.]+)" y="(-?\\d+)"[^>]*>${name}<`).exec(svg) ?? [];
      return x === undefined ? [] : [{ right: Number(x) + 6.9 * name.length, y: Number(y) }];
    });
  expect(rows(drawn(1)).map(({ y }) => y)).toEqual([46]);
  const long = drawn(3);
  expect(rows(long).map(({ y }) => y)).toEqual([28, 28, 46]);
  for (const { right } of rows(long)) expect(right).toBeLessThan(520);
  expect(long).toContain('viewBox="0 -18 520 338"');
  const plotOf = (svg: string): string => svg.slice(svg.indexOf('<clipPath')).replace(/<path.*\n/g, '');
  expect(plotOf(long)).toBe(plotOf(drawn(1)));
});

test('plots of calibration show by how many points intervals miss their level', async () => {
  const { report } = await evaluateInDetail(options());
  const uncertainty = report.uncertainty!;
  const all = uncertaintyCharts(report, uncertainty);
  const { lines, xs, domain } = all.find(({ id }) => id === 'calibration')!;
  const [ideal, first] = lines;
  expect(ideal?.values).toEqual(xs.map(() => 0));
  expect(ideal?.band).toEqual({ low: xs.map(() => -3), high: xs.map(() => 3) });
  const band = uncertainty.intervals!.bands[0]!;
  expect(first?.values).toEqual(band.all.map((share, k) => 100 * (share - xs[k]!)));
  for (const { values } of lines)
    for (const value of values) expect(Math.abs(value)).toBeLessThanOrEqual(domain![1]);
  // Leads at which the truth has no interfaces are gaps.
  const interface_coverage = uncertainty.intervals!.interface_coverage.with(0, NaN);
  const gapped = { ...uncertainty, intervals: { ...uncertainty.intervals!, interface_coverage } };
  const coverage = uncertaintyCharts(report, gapped).find(({ id }) => id === 'coverage')!;
  expect(coverage.domain!.every(Number.isFinite)).toBe(true);
  expect(svgOf(coverage)).not.toContain('NaN');
  const svg = svgOf(all.find(({ id }) => id === 'calibration')!);
  for (const [, x, text] of svg.matchAll(/<text x="([\d.]+)" y="46"[^>]*>([^<]*)/g))
    expect(Number(x) + 6.9 * (text?.length ?? 0)).toBeLessThan(520);
});
