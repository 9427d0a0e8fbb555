import { constants } from 'node:fs';
import { access, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { StartupError, messageOf } from '../../pipeline/errors.js';
import type { Detail } from '../evaluate.js';
import { svgOf } from './chart.js';
import { scoreCharts, statisticsCharts, uncertaintyCharts } from './charts.js';
import { pageOf } from './page.js';
import { writePictures } from './pictures.js';

/** Pixels of a PNG for one of the plot's. */
const SHARPNESS = 2;

/** Numbers as they are read: seven digits. */
const rounded = (_key: string, value: unknown): unknown =>
  typeof value === 'number' ? Number(value.toPrecision(7)) : value;

/** Makes the folder, so that a place that cannot be written to is found before the work. @throws StartupError */
export const prepareReport = async (folder: string): Promise<void> => {
  try {
    await mkdir(folder, { recursive: true });
    await access(folder, constants.W_OK);
  } catch (cause) {
    throw new StartupError(`the report cannot be written to ${folder}: ${messageOf(cause)}`, { cause });
  }
};

/**
 * Writes report.html (one page that needs nothing else), report.json, and each picture and plot as a PNG.
 * @param data the folders that were evaluated on, as the page names them
 * @throws StartupError when the folder cannot be made
 */
export const writeReport = async (folder: string, detail: Detail, data: readonly string[]): Promise<void> => {
  await prepareReport(folder);
  const { report } = detail;
  const pictures = await writePictures(folder, detail);
  const scores = scoreCharts(report);
  const statistics = statisticsCharts(report);
  const uncertainty = report.uncertainty === undefined ? [] : uncertaintyCharts(report, report.uncertainty);
  for (const chart of [...scores, ...statistics, ...uncertainty]) {
    const png = await sharp(Buffer.from(svgOf(chart)), { density: 72 * SHARPNESS })
      .png()
      .toBuffer();
    await writeFile(join(folder, `${chart.id}.png`), png);
  }
  await writeFile(join(folder, 'report.json'), `${JSON.stringify(report, rounded, 1)}\n`);
  await writeFile(
    join(folder, 'report.html'),
    pageOf({ report, data, pictures, scores, statistics, uncertainty }),
  );
};
