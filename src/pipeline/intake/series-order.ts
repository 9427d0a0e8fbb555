import { basename } from 'node:path';
import { FrameError } from '../errors.js';
import type { Entry } from '../frame.js';
import type { Ledger } from '../ledger/ledger.js';
import type { SeriesRecord } from '../ledger/records.js';
import type { Candidate } from './candidates.js';
import { misfit, NUMBERING_FRAMES, numberingOf, placeOf } from './numbering.js';

export interface OrderOptions {
  /** Milliseconds that a new series may be without its third frame. */
  readonly patience: number;
  /** Milliseconds that a number may be missing while later ones are there; default: `patience`. */
  readonly gapWait?: number | undefined;
  /** What then: go on without it, or end the run. */
  readonly onGap?: 'skip' | 'fail' | undefined;
}

export interface OrderContext {
  readonly ledger: Pick<Ledger, 'series' | 'putSeries' | 'frame' | 'frames' | 'countMissing'>;
  readonly notice: (message: string) => void;
}

/** What the numbers of a series' files say: which frame is the next, and which place it has. */
export interface SeriesOrder {
  /** Why an entry can never be a frame of this series, whatever it holds. */
  problemOf(entry: Entry): { readonly reason: string; readonly kind?: 'late' } | undefined;
  /**
   * The place of a candidate that is whole, where those before it are decided; or that numbers which may still come have to
   * be waited for; or that what was learned excludes it: see `problemOf`. `known` gives the candidates that may tell the
   * numbering, `ripe` is the `ripest` of all.
   * @throws FrameError at a gap, where that ends the run
   */
  place(candidate: Candidate, known: () => readonly Candidate[], ripe: number): number | 'wait' | 'excluded';
  /** The highest number of those that are whole and have waited for as long as a gap is waited for. */
  ripest(candidates: readonly Candidate[]): number;
  /** It is a frame of the series from now on. */
  handedOn(entry: Entry): void;
  /** What a candidate that is whole waits for, for people. */
  waitsFor(): string;
}

/** Gaps of one series that are told one by one. */
const GAPS_TOLD = 5;

export const seriesOrder = (
  series: string,
  { patience, gapWait = patience, onGap }: OrderOptions,
  { ledger, notice }: OrderContext,
): SeriesOrder => {
  let record: SeriesRecord | undefined = ledger.series(series);
  let gaps = 0;

  const keep = (change: Partial<SeriesRecord> & Pick<SeriesRecord, 'first' | 'increment'>): void => {
    // The ledger's own record may have got a shape or a normalisation from others meanwhile.
    record = { ...ledger.series(series), ...change, series };
    ledger.putSeries(record);
  };

  const problemOf: SeriesOrder['problemOf'] = ({ index, path }) => {
    const holder = ledger.frame(series, index);
    if (holder !== undefined && holder.path !== path)
      return {
        reason:
          `${basename(holder.path)} and ${basename(path)} both have number ${index}: ` +
          'say which files are meant with include, such as "*.png"',
      };
    if (record?.last !== undefined && index <= record.last)
      return { reason: `late: it came after number ${record.last}`, kind: 'late' };
    if (record === undefined) return undefined;
    // A ledger that was rebuilt knows where its series began, and not how far they have come.
    if (index < record.first)
      return { reason: `late: its series began with number ${record.first}`, kind: 'late' };
    if (record.increment === 0) return undefined;
    return placeOf(index, record) === undefined ? { reason: misfit(index, record) } : undefined;
  };

  /** Learns the first number from the first complete frame, the increment from those behind it; false while it is too early to say. */
  const learnNumbering = (known: readonly Candidate[]): boolean => {
    const last = record?.last ?? -1;
    const fresh = known.filter(({ entry, owed }) => owed === undefined && entry.index > last);
    const whole = fresh.filter((candidate) => candidate.whole);
    const [next] = whole;
    if (next === undefined) return false;
    if (fresh.some((candidate) => !candidate.whole && candidate.entry.index < next.entry.index)) return false;
    // A number tells the numbering even when its file is not whole yet, or never will be.
    const given = [...ledger.frames(series, next.entry.index), ...fresh.map(({ entry }) => entry)];
    const numbers = new Set([
      ...(record === undefined ? [] : [record.first]),
      ...given.map(({ index }) => index),
    ]);
    const quiet = whole.every(({ changedAt, confirmedAt }) => confirmedAt - changedAt >= patience);
    if (numbers.size < NUMBERING_FRAMES && !quiet) return false;
    keep(numberingOf([...numbers]));
    return true;
  };

  /** False while a number before this one may still come. @throws FrameError when the run is to end there */
  const passGap = (index: number, ripe: number): boolean => {
    if (record?.last === undefined || record.increment === 0) return true;
    const { first, last, increment } = record;
    const from = last + increment;
    if (index <= from) return true;
    let missing = (index - from) / increment;
    for (const other of ledger.frames(series, from, index - 1))
      if ((other.index - first) % increment === 0) missing--;
    if (missing === 0) return true;
    if (ripe <= from) return false;
    if (onGap === 'fail')
      throw new FrameError(`${series}: ${missing} missing between ${last} and ${index}`, {
        hint: 'the run ends where a number is missing (on-gap: fail); start it again when the frame is there',
      });
    ledger.countMissing(series, missing);
    if (++gaps <= GAPS_TOLD)
      notice(
        `${series}: ${missing} missing between ${last} and ${index}; went on` +
          (gaps === GAPS_TOLD ? ' (further gaps of this series are only counted)' : ''),
      );
    return true;
  };

  return {
    problemOf,
    place: ({ entry }, known, ripe) => {
      const begins = record !== undefined && record.last === undefined && record.first === entry.index;
      const isUnknown = !begins && (record === undefined || record.increment === 0);
      if (isUnknown && !learnNumbering(known())) return 'wait';
      if (problemOf(entry) !== undefined) return 'excluded';
      if (!passGap(entry.index, ripe)) return 'wait';
      const { first, increment } = record ?? { first: entry.index, increment: 0 };
      return increment === 0 ? 0 : (entry.index - first) / increment;
    },
    ripest: (candidates) =>
      candidates.reduce(
        // Looks that cannot see the folder confirm nothing: a number that is missing may be there all the time.
        (highest, { entry, whole, changedAt, confirmedAt }) =>
          whole && confirmedAt - changedAt >= gapWait ? Math.max(highest, entry.index) : highest,
        -Infinity,
      ),
    handedOn: ({ index }) => {
      const { first, increment, last } = record ?? { first: index, increment: 0 };
      keep({ first, increment, last: Math.max(last ?? index, index) });
    },
    waitsFor: () =>
      record?.last === undefined || record.increment === 0
        ? 'more frames, to tell the numbering'
        : `number ${record.last + record.increment}, which comes before it`,
  };
};
