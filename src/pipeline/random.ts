/** Reproducible uniform numbers in [0, 1) from a 32-bit seed (mulberry32, Tommy Ettinger 2017, public domain). */
export const uniformNumbers = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
};

/** Standard normal numbers from uniform ones (Box and Muller 1958). */
export const normalNumbers =
  (uniform: () => number): (() => number) =>
  () =>
    Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());

/** The seed of the k-th of several independent streams. */
export const streamSeed = (seed: number, k: number): number =>
  (Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) + Math.imul(k + 1, 0xc2b2ae35)) >>> 0;
