import sharp from 'sharp';
import { writeAtomically } from '../atomic.js';
import { drawText, GLYPH_HEIGHT, textWidth } from './bitmap-font.js';
import type { ColourMapName } from './colours.js';
import { COLOUR_MAPS } from './colours.js';
import { rangeOf, type Normalisation } from '../forecast.js';
import type { FrameShape } from '../frame.js';
import { sizeOf } from '../frame.js';

/** What a picture shows. Frames are [H, W, C] in physical values; of several channels, three are colours, else the first is drawn. */
export interface Picture {
  /** The last frame that the forecast saw; not drawn if absent. `room`: its place is left free, so that columns stand below those of a picture that has it. */
  readonly context?: Float32Array | 'room';
  readonly leads: readonly number[];
  /** One frame per entry of `leads`. */
  readonly predicted: readonly Float32Array[];
  /** One frame per entry of `leads`; undefined where none came, drawn as an empty tile. Without, there is no second row. */
  readonly truth?: readonly (Float32Array | undefined)[];
  /** Letters before the rows; default: P and G. */
  readonly rows?: readonly [string, string];
  readonly shape: FrameShape;
  /** Values drawn with the first and the last colour. */
  readonly normalisation: Normalisation;
  /** Default: viridis. */
  readonly colours?: ColourMapName;
}

const MARGIN = 12;
const GAP = 4;
/** Pixels per dot of the labels. */
const DOT = 3;
const LABEL = GLYPH_HEIGHT * DOT;
/** Longest side of a tile. */
const TILE = 160;
const PAPER = 255;

type Rgb = readonly [red: number, green: number, blue: number];
const INK: Rgb = [20, 20, 20];
const EMPTY: Rgb = [226, 226, 226];

/**
 * Writes a PNG like the figures of papers on forecasting: the last context frame at the left, then one column per
 * lead, predicted frames (P) above ground truth (G) or what else `rows` says, the leads written above. Small frames are enlarged by a whole
 * factor without smoothing, large ones averaged down.
 * @throws RangeError when the lists differ in length or a frame does not have the shape
 */
export const writePicture = async (path: string, picture: Picture): Promise<void> => {
  const { leads, predicted, truth, shape, rows: letters = ['P', 'G'] } = picture;
  const context = picture.context === 'room' ? undefined : picture.context;
  if (predicted.length !== leads.length || (truth ?? leads).length !== leads.length)
    throw new RangeError(
      `${leads.length} leads, ${predicted.length} predicted and ${truth?.length} true frames`,
    );
  for (const frame of [context, ...predicted, ...(truth ?? [])])
    if (frame !== undefined && frame.length !== sizeOf(shape))
      throw new RangeError(`a frame of ${frame.length} values in a picture of ${shape.join('x')} frames`);

  const tile = tileSize(shape);
  const letter = textWidth('P') * DOT;
  const labels = ['t', ...leads.map((lead) => `t+${lead}`)];
  // A label may be wider than a narrow frame.
  const column = Math.max(tile.width, ...labels.map((label) => textWidth(label) * DOT + 2 * DOT));
  const top = MARGIN + LABEL + 2 * GAP;
  const first = MARGIN + (picture.context === undefined ? 0 : column + 3 * GAP) + letter + 2 * GAP;
  const width = first + leads.length * (column + GAP) - GAP + MARGIN;
  const height = top + tile.height + (truth === undefined ? 0 : GAP + tile.height) + MARGIN;
  const canvas = createCanvas(width, height);

  const rows = [top, top + tile.height + GAP] as const;
  const draw = (frame: Float32Array | undefined, left: number, y: number): void => {
    const x = left + Math.floor((column - tile.width) / 2);
    if (frame === undefined) canvas.fill(x, y, tile.width, tile.height, () => EMPTY);
    else canvas.fill(x, y, tile.width, tile.height, tilePixels(frame, picture, tile.scale));
  };
  const label = (text: string, left: number, room: number, y: number): void =>
    canvas.text(text, left + Math.floor((room - textWidth(text) * DOT) / 2), y);

  if (context !== undefined) {
    const contextTop = top + (truth === undefined ? 0 : Math.floor((tile.height + GAP) / 2));
    draw(context, MARGIN, contextTop);
    label('t', MARGIN, column, contextTop - 2 * GAP - LABEL);
  }
  letters
    .slice(0, truth === undefined ? 1 : 2)
    .forEach((text, row) =>
      canvas.text(text, first - 2 * GAP - letter, rows[row]! + Math.floor((tile.height - LABEL) / 2)),
    );
  leads.forEach((lead, at) => {
    const left = first + at * (column + GAP);
    label(`t+${lead}`, left, column, MARGIN);
    draw(predicted[at], left, rows[0]);
    if (truth !== undefined) draw(truth[at], left, rows[1]);
  });
  const png = await sharp(canvas.pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
  await writeAtomically(path, png);
};

/** `scale` > 0: that many pixels per value; < 0: that many values per pixel, along each axis. */
const tileSize = ([height, width]: FrameShape): { height: number; width: number; scale: number } => {
  const longest = Math.max(height, width);
  if (longest <= TILE) {
    const scale = Math.floor(TILE / longest);
    return { height: height * scale, width: width * scale, scale };
  }
  const block = Math.ceil(longest / TILE);
  return { height: Math.ceil(height / block), width: Math.ceil(width / block), scale: -block };
};

/** The colour at a pixel of a tile. */
const tilePixels = (
  frame: Float32Array,
  picture: Picture,
  scale: number,
): ((x: number, y: number) => Rgb) => {
  const [height, width, channels] = picture.shape;
  const colourMap = COLOUR_MAPS[picture.colours ?? 'viridis'];
  const block = scale < 0 ? -scale : 1;
  const at = (pixel: number): number => (scale < 0 ? pixel * block : Math.floor(pixel / scale));
  const value = (x: number, y: number, channel: number): number => {
    const { low, high } = rangeOf(picture.normalisation, channel);
    let sum = 0;
    let count = 0;
    for (let row = at(y); row < Math.min(height, at(y) + block); row++)
      for (let column = at(x); column < Math.min(width, at(x) + block); column++) {
        sum += frame[(row * width + column) * channels + channel]!;
        count++;
      }
    return high > low ? (sum / count - low) / (high - low) : 0;
  };
  if (channels !== 3) return (x, y) => colourMap(value(x, y, 0));
  const level = (x: number, y: number, channel: number): number => COLOUR_MAPS.grey(value(x, y, channel))[0];
  return (x, y) => [level(x, y, 0), level(x, y, 1), level(x, y, 2)];
};

/** White RGB pixels to draw on. */
const createCanvas = (width: number, height: number) => {
  const pixels = Buffer.alloc(width * height * 3, PAPER);
  const fill = (
    left: number,
    top: number,
    w: number,
    h: number,
    colour: (x: number, y: number) => Rgb,
  ): void => {
    for (let y = 0; y < h; y++)
      for (let x = 0; x < w; x++) pixels.set(colour(x, y), 3 * ((top + y) * width + left + x));
  };
  const text = (label: string, left: number, top: number): void =>
    drawText(label, (x, y) => fill(left + x * DOT, top + y * DOT, DOT, DOT, () => INK));
  return { pixels, fill, text };
};
