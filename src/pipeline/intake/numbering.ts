/** How the numbers in the names of a series' files count: `increment` is 0 while there is only one to tell from. */
export interface Numbering {
  readonly first: number;
  readonly increment: number;
}

/** Numbers that the increment is learned from. */
export const NUMBERING_FRAMES = 3;

/** The numbering that the first numbers of a series show; in any order, repeats count once. */
export const numberingOf = (numbers: readonly number[]): Numbering => {
  const first = [...new Set(numbers)].sort((a, b) => a - b).slice(0, NUMBERING_FRAMES);
  const steps = first.slice(1).map((number, k) => number - (first[k] ?? 0));
  return { first: first[0] ?? 0, increment: steps.length > 0 ? Math.min(...steps) : 0 };
};

/** Place of a number in its series, from 0, missing ones counted; undefined for one that does not fit. */
export const placeOf = (index: number, { first, increment }: Numbering): number | undefined => {
  if (increment === 0) return index === first ? 0 : undefined;
  const place = (index - first) / increment;
  return Number.isInteger(place) ? place : undefined;
};

/** Why a number has no place. */
export const misfit = (index: number, { first, increment }: Numbering): string =>
  `number ${index} does not fit the numbering of its series: ${[0, 1, 2].map((n) => first + n * increment).join(', ')}, ...`;
