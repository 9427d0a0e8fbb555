import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assemble, buildNetwork, initialWeights, settingsSchema } from '../../src/forecaster/forecaster.js';
import type { Forecaster, Settings } from '../../src/forecaster/forecaster.js';
import { saveForecaster } from '../../src/forecaster/folder.js';
import { writeAtomically } from '../../src/pipeline/atomic.js';
import type { FrameShape, SampleType } from '../../src/pipeline/frame.js';
import { sizeOf } from '../../src/pipeline/frame.js';
import { codecForExtension } from '../../src/pipeline/plugins/registry.js';

/** A network of a few hundred weights. Its decoder is turned up, so that every forecast depends on the whole state. */
export const tinySettings = (changes: Partial<Settings> = {}): Settings =>
  settingsSchema.parse({
    format: 1,
    name: 'tiny',
    encoder: { name: 'conv', options: { width: 8, latent: 8 } },
    predictor: { name: 'conv_lstm', options: { layers: 1, hidden: 8 } },
    decoder: { name: 'conv', options: { width: 8 } },
    context: 4,
    ...changes,
  });

export const tinyForecaster = async (
  seed = 1,
  gain = 10,
  changes: Partial<Settings> = {},
): Promise<Forecaster> => {
  const settings = tinySettings(changes);
  const weights = initialWeights(await buildNetwork(settings), seed);
  const last = weights['decoder.frame.weight'];
  if (last === undefined) throw new Error('the decoder has no frame.weight');
  const loud = { ...last, data: last.data.map((value) => value * gain) };
  return assemble(settings, { ...weights, 'decoder.frame.weight': loud });
};

export const saveTiny = async (
  folder: string,
  ...which: Parameters<typeof tinyForecaster>
): Promise<Forecaster> => {
  const forecaster = await tinyForecaster(...which);
  await saveForecaster(folder, forecaster);
  return forecaster;
};

/** A blob that drifts and grows over a slope, values 0.1..0.9 of `full`. */
export const movingField = (t: number, shape: FrameShape, full = 1, seed = 0): Float32Array => {
  const [h, w, c] = shape;
  const [row, column] = [h * (0.4 + 0.012 * t + 0.03 * seed), w * (0.3 + 0.02 * t)];
  return Float32Array.from({ length: sizeOf(shape) }, (_, k) => {
    const [y, x] = [Math.floor(k / (w * c)), Math.floor(k / c) % w];
    const distance = Math.hypot(y - row, x - column) - (2 + 0.15 * t);
    return full * (0.15 + 0.1 * (x / w) + 0.6 / (1 + Math.exp(distance)) + 0.02 * (k % c));
  });
};

export interface FrameFiles {
  readonly shape?: FrameShape;
  readonly extension?: string;
  readonly sampleType?: SampleType;
  readonly seed?: number;
}
const FULL: Readonly<Record<SampleType, number>> = { uint8: 255, uint16: 65535, float32: 1 };

export const frameBytes = async (t: number, files: FrameFiles = {}): Promise<Buffer> => {
  const { shape = [16, 16, 1], extension = '.png', sampleType = 'uint16', seed = 0 } = files;
  const codec = await codecForExtension(extension);
  return codec.encode({ shape, data: movingField(t, shape, FULL[sampleType], seed), sampleType });
};

export const framePath = (folder: string, t: number, extension = '.png'): string =>
  join(folder, `frame_${String(t).padStart(4, '0')}${extension}`);

/** Frame t of the drifting blob, renamed into place. */
export const putFrame = async (folder: string, t: number, files: FrameFiles = {}): Promise<string> => {
  const path = framePath(folder, t, files.extension);
  await writeAtomically(path, await frameBytes(t, files));
  return path;
};

export const putFrames = async (
  folder: string,
  from: number,
  to: number,
  files: FrameFiles = {},
): Promise<void> => {
  for (let t = from; t < to; t++) await putFrame(folder, t, files);
};

/** The values of a version 1 NPY file of little-endian float32. */
export const readNpy = async (path: string): Promise<Float32Array> => {
  const bytes = await readFile(path);
  const start = 10 + bytes.readUInt16LE(8);
  return new Float32Array(new Uint8Array(bytes.subarray(start)).buffer);
};
