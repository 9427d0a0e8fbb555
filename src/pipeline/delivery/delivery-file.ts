import { writeAtomically } from '../atomic.js';
import { floats, littleEndian, withFileBytes } from '../bytes.js';
import type { Delivery } from './delivery.js';
import { StateError } from '../errors.js';
import type { Forecast, Score, Uncertainty } from '../forecast.js';
import { sizeOf } from '../frame.js';
import type { ByteSource } from '../plugins/plugin.js';

/** Why and when a delivery was put on disk. */
export interface KeptBecause {
  readonly reason: string;
  /** ISO 8601. */
  readonly at: string;
}

type Header = { readonly version: 1; readonly because: KeptBecause } & (
  | { readonly type: 'score'; readonly score: Score }
  | {
      readonly type: 'forecast';
      /** The forecast without its arrays, which follow as float32, little-endian, in the order of `layers`. */
      readonly forecast: Omit<Forecast, 'frames' | 'uncertainty'>;
      readonly layers: readonly ('frames' | 'spread' | 'lower' | 'upper')[];
      readonly members?: number;
      readonly level?: number;
    }
);

/** One line of JSON, then arrays: a delivery as a file. Durable and whole when it resolves; gives its size in bytes. */
export const writeDelivery = async (
  path: string,
  delivery: Delivery,
  because: KeptBecause,
): Promise<number> => {
  const arrays: Buffer[] = [];
  let header: Header;
  if (delivery.type === 'score') header = { version: 1, because, type: 'score', score: delivery.score };
  else {
    const { frames, uncertainty, ...forecast } = delivery.forecast;
    const { spread, interval } = uncertainty ?? {};
    const layers = { frames, spread, lower: interval?.lower, upper: interval?.upper };
    const names = (['frames', 'spread', 'lower', 'upper'] as const).filter(
      (name) => layers[name] !== undefined,
    );
    for (const name of names) arrays.push(littleEndian(layers[name] ?? new Float32Array()));
    header = {
      version: 1,
      because,
      type: 'forecast',
      forecast,
      layers: names,
      ...(uncertainty && { members: uncertainty.members }),
      ...(interval && { level: interval.level }),
    };
  }
  const parts = [Buffer.from(`${JSON.stringify(header)}\n`), ...arrays];
  await writeAtomically(path, parts, { durable: true });
  return parts.reduce((sum, part) => sum + part.length, 0);
};

/** Bytes of the first line that are looked at first, and at most: a score of many leads has a long one. */
const [SOME, LONGEST] = [2 ** 16, 2 ** 26];

/** The first line, and where the next byte is. */
const firstLine = async (bytes: ByteSource): Promise<{ text: string; next: number }> => {
  for (let length = SOME; ; length *= 4) {
    const head = await bytes.read(0, length);
    const end = head.indexOf(0x0a);
    if (end >= 0) return { text: head.toString('utf8', 0, end), next: end + 1 };
    if (head.length < length || length >= LONGEST) return { text: '', next: 0 };
  }
};

/** @throws StateError when the file is damaged, or the system's error when it cannot be read */
export const readDelivery = (path: string): Promise<{ delivery: Delivery; because: KeptBecause }> =>
  withFileBytes(path, async (bytes) => {
    const damaged = (what: string, cause?: unknown): StateError =>
      new StateError(`${path} is not a delivery that mesocast wrote: ${what}`, { cause });
    const { text, next } = await firstLine(bytes);
    let header: Header;
    try {
      header = JSON.parse(text) as Header;
    } catch (cause) {
      throw damaged('its first line is no JSON', cause);
    }
    if (header.version !== 1)
      throw damaged(`its version is ${String(header.version)}, this mesocast reads 1`);
    if (header.type === 'score')
      return { delivery: { type: 'score', score: header.score }, because: header.because };
    const { forecast, layers, members, level, because } = header;
    const length = 4 * sizeOf(forecast.shape) * forecast.horizon;
    if (bytes.size !== next + length * layers.length)
      throw damaged(`it has ${bytes.size} bytes, not ${next + length * layers.length}`);
    // One by one: together they may be more than a buffer holds.
    const layer = async (name: (typeof layers)[number]): Promise<Float32Array | undefined> => {
      const at = layers.indexOf(name);
      return at < 0 ? undefined : floats(await bytes.read(next + length * at, length));
    };
    const frames = await layer('frames');
    if (frames === undefined) throw damaged('it has no frames');
    const [spread, lower, upper] = [await layer('spread'), await layer('lower'), await layer('upper')];
    const uncertainty: Uncertainty | undefined =
      members === undefined
        ? undefined
        : {
            members,
            ...(spread && { spread }),
            ...(lower && upper && level !== undefined && { interval: { level, lower, upper } }),
          };
    return {
      delivery: { type: 'forecast', forecast: { ...forecast, frames, ...(uncertainty && { uncertainty }) } },
      because,
    };
  });
