/** A colour map: 0..1 to red, green, blue of 0..255. Values outside are clamped, NaN is black. */
export type ColourMap = (value: number) => readonly [red: number, green: number, blue: number];

/** Ten evenly spaced colours of matplotlib's viridis (CC0), which looks as evenly graded as the values are. */
const VIRIDIS = [
  [68, 1, 84],
  [72, 40, 120],
  [62, 73, 137],
  [49, 104, 142],
  [38, 130, 142],
  [31, 158, 137],
  [53, 183, 121],
  [110, 206, 88],
  [181, 222, 43],
  [253, 231, 37],
] as const;

const clamped = (value: number): number => Math.min(1, Math.max(0, value));

const viridis: ColourMap = (value) => {
  if (Number.isNaN(value)) return [0, 0, 0];
  const at = clamped(value) * (VIRIDIS.length - 1);
  const below = VIRIDIS[Math.floor(at)]!;
  const above = VIRIDIS[Math.ceil(at)]!;
  const mix = (channel: 0 | 1 | 2): number =>
    Math.round(below[channel] + (at - Math.floor(at)) * (above[channel] - below[channel]));
  return [mix(0), mix(1), mix(2)];
};

const grey: ColourMap = (value) => {
  const level = Number.isNaN(value) ? 0 : Math.round(255 * clamped(value));
  return [level, level, level];
};

export const COLOUR_MAPS = { viridis, grey } as const;
export type ColourMapName = keyof typeof COLOUR_MAPS;
