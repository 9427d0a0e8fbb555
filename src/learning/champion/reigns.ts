import type { Ledger } from '../../pipeline/ledger/ledger.js';

/** From which frame of a series on a forecaster makes its forecasts. */
interface Reign {
  readonly from: number;
  readonly hash: string;
}

/** Reigns of a series that are kept: frames that come again after a crash are of the last few. */
const KEPT = 20;
/** Series whose next frame is decided on at a change: of others it is when it comes. A daemon of months sees many that end. */
const MOST_SERIES = 256;
const CHAMPION = 'champion';

/**
 * Which forecaster makes the forecast of which frame: decided once for each frame and kept in the ledger, so that a frame
 * that comes again after a crash is forecast by the one that it was forecast by first.
 */
export interface Reigns {
  /** Hash of the forecaster of a frame. Frames of a series are asked for in order. */
  of(series: string, position: number): string;
  /** Another forecaster from the next frame of each series on. Durable when it resolves. */
  begin(hash: string): Promise<void>;
  /** The forecaster of frames to come. */
  readonly champion: string;
}

/**
 * @param first the forecaster of a state folder that has none yet
 * @param most frames that may be under way, each of another series
 */
export const openReigns = (
  ledger: Pick<Ledger, 'note' | 'putNote' | 'durable' | 'allSeries' | 'unfinished'>,
  first: string,
  most = 0,
): Reigns => {
  let champion = typeof ledger.note(CHAMPION) === 'string' ? String(ledger.note(CHAMPION)) : first;
  const keyOf = (series: string): string => `reigns:${series}`;
  const reignsOf = (series: string): readonly Reign[] =>
    (ledger.note(keyOf(series)) as readonly Reign[] | undefined) ?? [];
  /**
   * Highest place that was decided on, of the series that came last: that was asked for, or was under way when the process
   * before ended.
   */
  const decided = new Map<string, number>();
  const decide = (series: string, position: number): void => {
    const highest = Math.max(position, decided.get(series) ?? -1);
    decided.delete(series);
    decided.set(series, highest);
    const [oldest] = decided.keys();
    if (decided.size > Math.max(MOST_SERIES, most) && oldest !== undefined) decided.delete(oldest);
  };
  for (const { series } of ledger.allSeries())
    for (const { position } of ledger.unfinished(series))
      if (position !== undefined) decide(series, position);
  const add = (series: string, from: number): void => {
    const earlier = reignsOf(series).filter((reign) => reign.from < from);
    const goesOn = earlier.at(-1)?.hash === champion;
    ledger.putNote(keyOf(series), goesOn ? earlier : [...earlier, { from, hash: champion }].slice(-KEPT));
  };
  return {
    of: (series, position) => {
      decide(series, position);
      const last = reignsOf(series).at(-1);
      if (last === undefined || (position >= last.from && last.hash !== champion)) add(series, position);
      const known = reignsOf(series);
      return (known.findLast(({ from }) => from <= position) ?? known[0])?.hash ?? champion;
    },
    begin: async (hash) => {
      champion = hash;
      ledger.putNote(CHAMPION, hash);
      for (const [series, highest] of decided) if (reignsOf(series).length > 0) add(series, highest + 1);
      await ledger.durable();
    },
    get champion() {
      return champion;
    },
  };
};
