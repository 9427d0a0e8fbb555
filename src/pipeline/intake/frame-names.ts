/** What a file is, by its path below the watched folder. */
export type Named =
  /** Frame `index` of `series`, which is a path below the folder: empty for the folder itself. */
  | { readonly kind: 'frame'; readonly series: string; readonly index: number }
  /** Of a format that may hold several frames, without a number in its name: a series of its own. */
  | { readonly kind: 'stack'; readonly series: string }
  /** A codec reads it, but nothing says which frame it is. */
  | { readonly kind: 'no number' }
  /** No codec reads it, or it does not match the pattern. */
  | { readonly kind: 'other' }
  /** Still being written, by its name. */
  | { readonly kind: 'temporary' };

export interface FrameNameOptions {
  /** Lower-case file name endings that some codec reads. */
  readonly extensions: readonly string[];
  /** Those of formats that may hold several frames. */
  readonly stackExtensions: readonly string[];
  /** Says what is a frame, of which series, and which number it has: see `compilePattern`. */
  readonly pattern?: string | undefined;
}

const GROUPS = ['index', 'series'];

/**
 * A regular expression for whole paths below the folder, with a group `index` and perhaps a group `series`.
 * @throws Error saying what is wrong with it
 */
export const compilePattern = (pattern: string): RegExp => {
  const whole = new RegExp(`^(?:${pattern})$`);
  const groups = Object.keys(new RegExp(`(?:${pattern})|`).exec('')?.groups ?? {});
  const unknown = groups.find((group) => !GROUPS.includes(group));
  if (unknown !== undefined) throw new Error(`groups are called index and series, not "${unknown}"`);
  if (!groups.includes('index'))
    throw new Error('it needs a group (?<index>\\d+) around the number of the frame');
  return whole;
};

/** What files are, by pattern, or by the last run of digits in their name and the folder that they are in. */
export const frameNames = (options: FrameNameOptions): ((path: string) => Named) => {
  const { extensions, stackExtensions } = options;
  const pattern = options.pattern === undefined ? undefined : compilePattern(options.pattern);
  const longestFirst = [...extensions].sort((a, b) => b.length - a.length);
  return (path) => {
    const lower = `/${path.toLowerCase()}`; // an ending may be a whole name: /history
    if (lower.endsWith('.tmp') || lower.endsWith('.part')) return { kind: 'temporary' };
    const ending = longestFirst.find((extension) => lower.endsWith(extension));
    if (ending === undefined) return { kind: 'other' };
    const slash = path.lastIndexOf('/');
    if (pattern !== undefined) {
      const groups = pattern.exec(path)?.groups;
      if (groups === undefined) return { kind: 'other' };
      const index = numberOf(groups.index);
      if (index === undefined) return { kind: 'no number' };
      const series = (groups.series ?? '').split('/').filter((part) => part !== '');
      return { kind: 'frame', series: series.join('/'), index };
    }
    const name = path.slice(slash + 1);
    const folder = path.slice(0, Math.max(0, slash));
    const stem = name.slice(0, Math.max(0, name.length - ending.length));
    const index = numberOf(/(\d+)\D*$/.exec(stem)?.[1]);
    if (index !== undefined) return { kind: 'frame', series: folder, index };
    return stackExtensions.some((extension) => lower.endsWith(extension))
      ? { kind: 'stack', series: path }
      : { kind: 'no number' };
  };
};

/** A decimal point does not count: times of equally many decimals are in order without it. */
const numberOf = (digits: string | undefined): number | undefined => {
  if (digits === undefined || !/^\d+(\.\d+)?$/.test(digits)) return undefined;
  const number = Number(digits.replace('.', ''));
  return Number.isSafeInteger(number) ? number : undefined;
};
