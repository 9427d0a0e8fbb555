/** Edit distance with swaps of neighbours (optimal string alignment), as mistyped words differ. */
const distance = (a: string, b: string): number => {
  const rows = Array.from({ length: a.length + 1 }, (_, i) => [i, ...new Array<number>(b.length).fill(0)]);
  for (let j = 0; j <= b.length; j++) rows[0]![j] = j;
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const substitution = rows[i - 1]![j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      let best = Math.min(rows[i - 1]![j]! + 1, rows[i]![j - 1]! + 1, substitution);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, rows[i - 2]![j - 2]! + 1);
      rows[i]![j] = best;
    }
  }
  return rows[a.length]![b.length]!;
};

const bare = (word: string): string => word.toLowerCase().replaceAll(/[-_]/g, '');

/** The candidate that someone who typed `word` probably meant, if one is near. Case and separators do not count. */
export const closest = (word: string, candidates: Iterable<string>): string | undefined => {
  let best: { candidate: string; off: number } | undefined;
  for (const candidate of candidates) {
    const off = distance(bare(word), bare(candidate));
    const near = off <= Math.max(1, Math.floor(candidate.length / 3));
    if (near && (best === undefined || off < best.off)) best = { candidate, off };
  }
  return best?.candidate;
};

/** `did you mean "horizon"?`, or what there is when nothing is near. For a hint. */
export const didYouMean = (word: string, candidates: readonly string[]): string => {
  const match = closest(word, candidates);
  return match === undefined ? `there is: ${candidates.join(', ')}` : `did you mean "${match}"?`;
};
