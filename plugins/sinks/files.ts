import { mkdir, readdir, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import sharp from 'sharp';
import { z } from 'zod';
import { temporaryName, writeAtomically } from '../../src/pipeline/atomic.js';
import { codeOf, SinkError } from '../../src/pipeline/errors.js';
import { rangeOf, type Forecast, type Normalisation, type ValueRange } from '../../src/pipeline/forecast.js';
import { chosenLeads, frameOf, framesOf, timeOfLead } from '../../src/pipeline/delivery/forecast-message.js';
import type { Field } from '../../src/pipeline/frame.js';
import { KEEP_PATTERN, keptForecasts, parseKeep } from '../../src/pipeline/delivery/kept-forecasts.js';
import { forecastPath, leadName, type LayerName } from '../../src/pipeline/delivery/layout.js';
import { defineSink } from '../../src/pipeline/plugins/plugin.js';
import { zarrFiles } from '../../src/pipeline/delivery/zarr-files.js';

const lead = z.number().int().positive();

/** Each forecast as images or as one array, below OUT/forecasts; docs/output.md has the layout. */
export const files = defineSink({
  name: 'files',
  summary: 'each forecast as PNG, NPY, VTI (ParaView) or Zarr; on request an animation too',
  options: z.strictObject({
    format: z
      .enum(['auto', 'png', 'npy', 'vti', 'zarr'])
      .default('auto')
      .describe(
        'png: an image per lead, float frames scaled to 8 bits; npy: one array, exact; vti: a file per lead and a .pvd for ParaView, exact; zarr: a group of arrays, exact; auto: png, for float frames and those that have not 1 or 3 channels npy',
      ),
    leads: z
      .union([z.literal('all'), z.array(lead).min(1)])
      .default('all')
      .describe('which leads to write; those beyond the horizon are left out'),
    animation: z
      .boolean()
      .default(false)
      .describe('also an animated WebP of the leads, grey values scaled to the normalised range'),
    keep: z
      .union([lead, z.string().regex(KEEP_PATTERN)])
      .default('10GB')
      .describe(
        'how much to keep, the oldest go first: 500 (forecasts of each series), 10GB (in all), or all',
      ),
  }),
  create: (options, { out, codec, log }) => {
    const kept = keptForecasts(out, parseKeep(options.keep), log);
    let told = false;
    return {
      open: async () => {
        await mkdir(join(out, 'forecasts'), { recursive: true });
        await kept.open();
      },
      forecast: async (forecast, signal) => {
        const leads = chosenLeads(options.leads, forecast.horizon);
        if (leads.length === 0) {
          if (!told)
            log(`no file is written: all leads asked for are beyond the horizon of ${forecast.horizon}`);
          told = true;
          return;
        }
        if (options.animation) requireAnimated(forecast);
        const path = forecastPath(forecast.series, forecast.index);
        const format = options.format === 'auto' ? (isImage(forecast) ? 'png' : 'npy') : options.format;
        let bytes = 0;
        if (format === 'npy') {
          const npy = await codec('npy');
          if (npy.encodeStack === undefined)
            throw new SinkError('the npy codec writes no stacks', { retryable: false });
          for (const [name, values] of layersOf(forecast)) {
            const chosen = framesOf({ ...forecast, frames: values }, leads);
            const stack = await npy.encodeStack([leads.length, ...forecast.shape], chosen);
            signal.throwIfAborted();
            await writeAtomically(join(out, `${path}${name === 'lead' ? '' : `.${name}`}.npy`), stack);
            bytes += stack.length;
          }
        } else if (format === 'zarr') {
          const arrays = layersOf(forecast).map(([name, frames]) => ({
            name,
            values: framesOf({ ...forecast, frames }, leads),
          }));
          const { id, series, index, issuedAt, stride, normalisation, time } = forecast;
          const about = { id, series, index, issuedAt, stride, leads, normalisation, ...(time && { time }) };
          const group = zarrFiles(arrays, leads, forecast.shape, about);
          bytes += await writeTree(join(out, `${path}.zarr`), group, signal);
        } else if (format === 'vti') {
          const vti = await codec('vti');
          for (const [name, frames] of layersOf(forecast)) {
            const layer = { ...forecast, frames };
            bytes += await writeFolder(join(out, path), leads, signal, `${name}.vti`, (at) =>
              vti.encode({ shape: forecast.shape, data: frameOf(layer, at), sampleType: 'float32' }),
            );
            // Last: what ParaView opens names files that are there.
            const collection = pvdOf(basename(path), forecast, leads, name);
            await writeAtomically(join(out, `${path}${name === 'lead' ? '' : `.${name}`}.pvd`), collection);
            bytes += collection.length;
          }
        } else {
          const png = await codec('png');
          for (const [name, values] of layersOf(forecast)) {
            const layer = { ...forecast, frames: values, normalisation: shownRange(forecast, name) };
            bytes += await writeFolder(join(out, path), leads, signal, `${name}.png`, (at) =>
              png.encode(imageOf(layer, at)),
            );
          }
        }
        if (options.animation) {
          const animation = await animationOf(forecast, leads);
          signal.throwIfAborted();
          await writeAtomically(join(out, `${path}.webp`), animation);
          bytes += animation.length;
        }
        await kept.add(path, bytes);
      },
      close: async () => undefined,
    };
  },
});

/** Whether an image file holds such frames as they are. */
const isImage = ({ sampleType, shape }: Forecast): boolean =>
  sampleType !== 'float32' && (shape[2] === 1 || shape[2] === 3);

/** What is written of a forecast, by the first part of its files' names; each [horizon, H, W, C]. */
const layersOf = ({ frames, uncertainty }: Forecast): [LayerName, Float32Array][] => {
  const { spread, interval } = uncertainty ?? {};
  return [
    ['lead', frames],
    ...(spread === undefined ? [] : [['spread', spread] as [LayerName, Float32Array]]),
    ...(interval === undefined
      ? []
      : ([
          ['lower', interval.lower],
          ['upper', interval.upper],
        ] as [LayerName, Float32Array][])),
  ];
};

/** A spread is a difference of values: it is shown from 0 on, to the same scale. */
const shownRange = ({ normalisation }: Forecast, name: LayerName): Normalisation => {
  if (name !== 'spread') return normalisation;
  const width = ({ low, high }: ValueRange): ValueRange => ({ low: 0, high: high - low });
  const { channels } = normalisation;
  return { ...width(normalisation), ...(channels && { channels: channels.map(width) }) };
};

/** The values as an 8-bit display shows them: the normalisation's range becomes 0..255. */
const displayed = (values: Float32Array, { normalisation, shape }: Forecast): Float32Array =>
  values.map((value, i) => {
    const { low, high } = rangeOf(normalisation, i % shape[2]);
    return high > low ? (255 * (value - low)) / (high - low) : 0;
  });

const imageOf = (forecast: Forecast, at: number): Field => {
  const { shape, sampleType } = forecast;
  const data = frameOf(forecast, at);
  return sampleType === 'float32'
    ? { shape, data: displayed(data, forecast), sampleType: 'uint8' }
    : { shape, data, sampleType };
};

/** Pixels a side that a WebP holds. */
const WEBP_SIDE = 16383;

/** @throws SinkError for frames that are too large for a WebP */
const requireAnimated = ({ shape: [height, width] }: Forecast): void => {
  if (Math.max(height, width) <= WEBP_SIDE) return;
  throw new SinkError(`an animation holds ${WEBP_SIDE} pixels a side, these frames are ${height}x${width}`, {
    retryable: false,
    hint: 'leave out the animation',
  });
};

/** A lossless animated WebP, ten leads a second; frames of one channel are grey, of others their first three colours. */
const animationOf = async (forecast: Forecast, leads: readonly number[]): Promise<Buffer> => {
  const [height, width, channels] = forecast.shape;
  const values = Uint8ClampedArray.from(displayed(framesOf(forecast, leads), forecast));
  const pixels = Buffer.alloc(leads.length * height * width * 3);
  for (let at = 0; at < pixels.length; at++) {
    const colour = channels < 3 ? 0 : at % 3;
    pixels[at] = values[Math.floor(at / 3) * channels + colour]!;
  }
  return sharp(pixels, {
    raw: { width, height: height * leads.length, channels: 3, pageHeight: height },
    limitInputPixels: false, // they are ours
  })
    .webp({ lossless: true, delay: leads.map(() => 100), loop: 0 })
    .toBuffer();
};

/**
 * Writes one file per lead into a temporary folder and puts it in place when it is whole; where a folder is already (a
 * repeat after a crash), file by file. Gives the bytes written.
 */
const writeFolder = async (
  folder: string,
  leads: readonly number[],
  signal: AbortSignal,
  kind: `${LayerName}.${'png' | 'vti'}`,
  encode: (at: number) => Promise<Buffer>,
): Promise<number> => {
  const temporary = temporaryName(folder);
  const [name, ending] = kind.split('.') as [LayerName, string];
  try {
    await mkdir(temporary, { recursive: true });
    let bytes = 0;
    for (const at of leads) {
      signal.throwIfAborted();
      const image = await encode(at);
      await writeFile(join(temporary, `${leadName(at, name)}.${ending}`), image);
      bytes += image.length;
    }
    await putInPlace(temporary, folder);
    return bytes;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined); // the first error is the one to report
    throw error;
  }
};

/** A folder of files that appears at once; one that is there (a repeat after a crash) is replaced. Gives the bytes written. */
const writeTree = async (
  folder: string,
  files: readonly (readonly [path: string, bytes: Buffer])[],
  signal: AbortSignal,
): Promise<number> => {
  const temporary = temporaryName(folder);
  try {
    for (const [path, bytes] of files) {
      signal.throwIfAborted();
      await mkdir(dirname(join(temporary, path)), { recursive: true });
      await writeFile(join(temporary, path), bytes);
    }
    await rm(folder, { recursive: true, force: true });
    await rename(temporary, folder);
    return files.reduce((sum, [, bytes]) => sum + bytes.length, 0);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined); // the first error is the one to report
    throw error;
  }
};

/** A ParaView collection: the leads as time steps, at their physical times where these are known. */
const pvdOf = (folder: string, forecast: Forecast, leads: readonly number[], name: LayerName): Buffer => {
  const steps = leads.map(
    (at) =>
      `<DataSet timestep="${timeOfLead(forecast, at) ?? at}" part="0" file="${folder}/${leadName(at, name)}.vti"/>\n`,
  );
  return Buffer.from(
    `<?xml version="1.0"?>\n<VTKFile type="Collection" version="0.1" byte_order="LittleEndian">\n<Collection>\n${steps.join('')}</Collection>\n</VTKFile>\n`,
  );
};

const putInPlace = async (temporary: string, folder: string): Promise<void> => {
  try {
    await rename(temporary, folder);
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST', 'EPERM'].includes(codeOf(error) ?? '')) throw error;
    for (const name of await readdir(temporary)) await rename(join(temporary, name), join(folder, name));
    await rmdir(temporary);
  }
};
