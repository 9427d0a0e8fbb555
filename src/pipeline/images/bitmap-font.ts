/**
 * The few characters that pictures are labelled with, 5 x 7 dots each. Built in, because a server may have no fonts.
 */
const GLYPHS: Readonly<Partial<Record<string, readonly string[]>>> = {
  '0': ['.###.', '#...#', '#..##', '#.#.#', '##..#', '#...#', '.###.'],
  '1': ['..#..', '.##..', '..#..', '..#..', '..#..', '..#..', '.###.'],
  '2': ['.###.', '#...#', '....#', '...#.', '..#..', '.#...', '#####'],
  '3': ['#####', '...#.', '..#..', '...#.', '....#', '#...#', '.###.'],
  '4': ['...#.', '..##.', '.#.#.', '#..#.', '#####', '...#.', '...#.'],
  '5': ['#####', '#....', '####.', '....#', '....#', '#...#', '.###.'],
  '6': ['..##.', '.#...', '#....', '####.', '#...#', '#...#', '.###.'],
  '7': ['#####', '....#', '...#.', '..#..', '.#...', '.#...', '.#...'],
  '8': ['.###.', '#...#', '#...#', '.###.', '#...#', '#...#', '.###.'],
  '9': ['.###.', '#...#', '#...#', '.####', '....#', '...#.', '.##..'],
  '+': ['.....', '..#..', '..#..', '#####', '..#..', '..#..', '.....'],
  '-': ['.....', '.....', '.....', '#####', '.....', '.....', '.....'],
  t: ['.#...', '.#...', '###..', '.#...', '.#...', '.#..#', '..##.'],
  P: ['####.', '#...#', '#...#', '####.', '#....', '#....', '#....'],
  G: ['.###.', '#...#', '#....', '#.###', '#...#', '#...#', '.####'],
  E: ['#####', '#....', '#....', '####.', '#....', '#....', '#####'],
  U: ['#...#', '#...#', '#...#', '#...#', '#...#', '#...#', '.###.'],
  ' ': ['.....', '.....', '.....', '.....', '.....', '.....', '.....'],
};

export const GLYPH_HEIGHT = 7;
const GLYPH_WIDTH = 5;

/** Width in dots: one blank column between characters. */
export const textWidth = (text: string): number => Math.max(0, text.length * (GLYPH_WIDTH + 1) - 1);

/**
 * Calls `dot(x, y)` for each black dot of a text, from its top left corner.
 * @throws RangeError for a character that is not built in
 */
export const drawText = (text: string, dot: (x: number, y: number) => void): void => {
  Array.from(text).forEach((character, place) => {
    const glyph = GLYPHS[character];
    if (glyph === undefined) throw new RangeError(`no glyph for "${character}"`);
    glyph.forEach((row, y) => {
      for (let x = 0; x < GLYPH_WIDTH; x++) if (row[x] === '#') dot(place * (GLYPH_WIDTH + 1) + x, y);
    });
  });
};
