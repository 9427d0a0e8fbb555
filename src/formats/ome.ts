import type { PhysicalTime } from '../pipeline/frame.js';

const attribute = (tag: string, name: string): string | undefined =>
  new RegExp(`\\b${name}="([^"]*)"`).exec(tag)?.[1];

/** The tag that says how the pages of an OME-TIFF follow each other, and when they were. */
const pixelsOf = (description: string): RegExpExecArray | null => /<Pixels\b[^>]*>/.exec(description);

/** How pages follow each other: so many channels and slices for each point in time. */
export interface PageLayout {
  readonly kind: string;
  readonly channels: number;
  readonly slices: number;
  /** The first of C, Z and T is what changes from page to page. */
  readonly order: string;
}

/** Files that the planes of an image are in, each described by all of them; and the most that one point in time is in. */
const filesOf = (description: string): { readonly all: number; readonly ofOne: number } => {
  const inside = description.slice(pixelsOf(description)?.index).split('</Pixels>')[0] ?? '';
  const byPoint = new Map<string, Set<string>>();
  for (const [, tag = '', name = ''] of inside.matchAll(
    /<TiffData\b([^>]*)>\s*<UUID\b[^>]*\bFileName="([^"]*)"/g,
  )) {
    const point = attribute(tag, 'FirstT') ?? '0';
    byPoint.set(point, (byPoint.get(point) ?? new Set()).add(name));
  }
  const all = new Set([...byPoint.values()].flatMap((names) => [...names]));
  return { all: all.size, ofOne: Math.max(0, ...[...byPoint.values()].map(({ size }) => size)) };
};

/**
 * As an OME-TIFF says (https://docs.openmicroscopy.org/ome-model): the colours of one page are channels of it, too. Text: why
 * its pages cannot be told apart.
 */
export const omeLayout = (description: string, samples: number): PageLayout | string | undefined => {
  const [pixels] = pixelsOf(description) ?? [];
  if (pixels === undefined)
    return /<BinaryOnly\b/.test(description)
      ? 'it is an OME-TIFF whose description is in another file: save it with its own'
      : undefined;
  const size = (name: string): number => Number(attribute(pixels, name)) || 1;
  const channels = Math.max(1, Math.floor(size('SizeC') / samples));
  const order = attribute(pixels, 'DimensionOrder')?.slice(2) ?? '';
  const { all, ofOne } = filesOf(description);
  if (ofOne > 1)
    return `it is one of ${all} files of an OME-TIFF that has channels or slices of one point in several: save them as one`;
  return { kind: 'an OME-TIFF', channels, slices: size('SizeZ'), order };
};

const timeOf = (value: string | undefined, unit: string | undefined): PhysicalTime | undefined => {
  const number = Number(value);
  return value === undefined || value === '' || !Number.isFinite(number)
    ? undefined
    : { value: number, unit: unit ?? 's' };
};

/**
 * When point `t` of an OME-TIFF was: DeltaT of its plane, else TimeIncrement times t, by default in seconds
 * (https://docs.openmicroscopy.org/ome-model, Plane and Pixels). Undefined where the description says neither, or is of several
 * files: point 0 of each is another.
 */
export const omeTime = (
  description: string,
  t: number,
  channel: number,
  slice: number,
): PhysicalTime | undefined => {
  const pixels = pixelsOf(description);
  if (pixels === null || filesOf(description).all > 1) return undefined;
  const inside = description.slice(pixels.index);
  const place = (tag: string): string =>
    ['TheT', 'TheC', 'TheZ'].map((name) => attribute(tag, name) ?? '0').join();
  const wanted = [t, channel, slice].join();
  const plane = [...inside.matchAll(/<Plane\b[^>]*>/g)]
    .map(([tag]) => tag)
    .find((tag) => place(tag) === wanted);
  const own = plane && timeOf(attribute(plane, 'DeltaT'), attribute(plane, 'DeltaTUnit'));
  if (own) return own;
  const step = timeOf(attribute(pixels[0], 'TimeIncrement'), attribute(pixels[0], 'TimeIncrementUnit'));
  // A file of one point does not say which one of the series it is.
  return step && Number(attribute(pixels[0], 'SizeT')) > 1 ? { ...step, value: t * step.value } : undefined;
};
