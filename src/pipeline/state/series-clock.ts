import type { ForecastTime } from '../forecast.js';
import type { Frame } from '../frame.js';
import type { Ledger } from '../ledger/ledger.js';
import { tellOnce } from '../tell-once.js';

/** A frame's place in its series and its time. */
export interface Tick {
  readonly position: number;
  readonly time: number;
}

export interface SeriesClockOptions {
  /** Frames that the interval is told from. */
  readonly window: number;
  /** Frames of the series per lead. */
  readonly stride: number;
  /** Ticks before `position` that an earlier run saw, in order: the last `window` of them are enough. */
  readonly history: (series: string, position: number) => readonly Tick[];
  readonly notice: (message: string) => void;
}

/** Tells from the frames of each series when its leads are. */
export interface SeriesClock {
  /** Call with each frame of a series, in order: what is known of its time. */
  see(frame: Pick<Frame, 'series' | 'index' | 'position' | 'time'>): ForecastTime | undefined;
}

/** A frame may be off its place on the even scale by this share of the interval: timers jitter. */
const TOLERANCE = 0.1;

/** Times are differences of decimal fractions: 0.0015, not 0.0014999999999999998. */
const withoutNoise = (value: number): number => Number(value.toPrecision(12));

/** The interval from place to place, if all lie on one even scale; without the noise of its last digits. */
export const evenInterval = (ticks: readonly Tick[]): number | undefined => {
  const [first, last] = [ticks[0], ticks.at(-1)];
  if (first === undefined || last === undefined || last.position === first.position) return undefined;
  const interval = (last.time - first.time) / (last.position - first.position);
  const off = ({ position, time }: Tick): number =>
    Math.abs(time - first.time - (position - first.position) * interval);
  return interval > 0 && ticks.every((tick) => off(tick) <= TOLERANCE * interval)
    ? withoutNoise(interval)
    : undefined;
};

/** Where the last `window` frames with a time are not evenly spaced, that is said once, and leads have no time. */
export const createSeriesClock = ({ window, stride, history, notice }: SeriesClockOptions): SeriesClock => {
  const known = new Map<string, Tick[]>();
  const tell = tellOnce(notice);
  return {
    see: ({ series, index, position, time }) => {
      if (time === undefined) return undefined;
      const ticks = known.get(series) ?? history(series, position).slice(-window);
      const next = [...ticks, { position, time: time.value }].slice(-window);
      known.set(series, next);
      const interval = evenInterval(next);
      if (interval !== undefined) return { ...time, perLead: withoutNoise(stride * interval) };
      tell(series, () => {
        if (next.length < 2) return undefined;
        const steps = next.slice(1).map((tick, k) => {
          const before = next[k] as Tick;
          return (tick.time - before.time) / (tick.position - before.position);
        });
        const [least, most] = [Math.min(...steps), Math.max(...steps)].map((step) =>
          Number(step.toPrecision(4)),
        );
        return `${series}: up to frame ${index} its frames are not evenly spaced in time (${least} to ${most}${time.unit === undefined ? '' : ` ${time.unit}`} from one to the next): leads count frames, and have no time`;
      });
      return { ...time };
    },
  };
};

/** The last `count` frames with a time that the ledger knows before a place. */
export const ticksBefore = (
  ledger: Pick<Ledger, 'series' | 'frames'>,
  series: string,
  position: number,
  count: number,
): Tick[] => {
  const record = ledger.series(series);
  if (record === undefined) return [];
  const indexOf = (place: number): number => record.first + place * record.increment;
  const ticks: Tick[] = [];
  for (const { position: place, time } of ledger.frames(
    series,
    indexOf(position - 2 * count),
    indexOf(position - 1),
  ))
    if (place !== undefined && place < position && time !== undefined) ticks.push({ position: place, time });
  return ticks.slice(-count);
};
