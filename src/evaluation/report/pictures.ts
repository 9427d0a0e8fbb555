import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Normalisation } from '../../pipeline/forecast.js';
import { writePicture } from '../../pipeline/images/picture.js';
import { quantile } from '../over-series.js';
import type { Detail, Example } from '../evaluate.js';

/** One picture of the report. */
export interface ReportPicture {
  readonly id: string;
  readonly title: string;
  readonly png: Buffer;
}

const UNIT: Normalisation = { low: 0, high: 1 };

/** Series to show: that of median skill, and the worst, of those whose frames were kept. One, where they are the same. */
const chosen = ({ report, examples }: Detail): readonly (readonly [what: string, example: Example])[] => {
  const skillOf = ({ of }: Example): number => report.per_series[of]?.mean_skill ?? 0;
  const order = examples.toSorted((a, b) => skillOf(a) - skillOf(b));
  const [worst, median] = [order[0], order[Math.floor(order.length / 2)]];
  const among = examples.length < report.per_series.length ? ` among the first ${examples.length}` : '';
  if (worst === undefined || median === undefined) return [];
  return worst === median
    ? [['the series', median]]
    : [
        [`the series of median skill${among}`, median],
        [`the series of lowest skill${among}`, worst],
      ];
};

/** Writes forecast and truth, and below them where the errors are, as PNGs into the folder. */
export const writePictures = async (folder: string, detail: Detail): Promise<ReportPicture[]> => {
  const pictures: ReportPicture[] = [];
  for (const [k, [what, example]] of chosen(detail).entries()) {
    const name = detail.report.per_series[example.of]?.name ?? '';
    const { shape, last, leads, predicted, truth, expected } = example;
    const base = { context: last, leads, shape };
    const suffix = k === 0 ? '' : '-worst';
    const add = async (id: string, title: string, write: (path: string) => Promise<void>): Promise<void> => {
      const path = join(folder, `${id}.png`);
      await write(path);
      pictures.push({ id, title, png: await readFile(path) });
    };
    await add(`forecast${suffix}`, `Forecast (P) over truth (G), ${what}: ${name}`, (path) =>
      writePicture(path, { ...base, predicted, truth, normalisation: UNIT }),
    );
    const errors = predicted.map((frame, l) => frame.map((value, i) => Math.abs(value - truth[l]![i]!)));
    // One scale for errors and what was expected, so that they can be compared; the largest hundredth is off it.
    const highest = Math.max(
      0.01,
      ...[...errors, ...(expected ?? [])].map((frame) => quantile(Array.from(frame), 0.99)),
    );
    const what2 =
      expected === undefined
        ? ''
        : detail.report.uncertainty?.intervals === undefined
          ? ' over the spread of the ensemble (U)'
          : ' over half the width of the 90 % interval (U)';
    await add(
      `errors${suffix}`,
      `Absolute error (E)${what2}, ${what}; the brightest is ${Number(highest.toPrecision(2))} or more`,
      (path) =>
        writePicture(path, {
          context: 'room',
          leads: base.leads,
          shape,
          predicted: errors,
          ...(expected !== undefined && { truth: expected }),
          rows: ['E', 'U'],
          normalisation: { low: 0, high: highest },
        }),
    );
  }
  return pictures;
};
