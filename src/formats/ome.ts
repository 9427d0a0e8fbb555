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

/** As an OME-TIFF says (https://docs.openmicroscopy.org/ome-model): the colours of one page are channels of it, too. */
export const omeLayout = (description: string, samples: number): PageLayout | undefined => {
  const [pixels] = pixelsOf(description) ?? [];
  if (pixels === undefined) return undefined;
  const size = (name: string): number => Number(attribute(pixels, name)) || 1;
  const channels = Math.max(1, Math.floor(size('SizeC') / samples));
  const order = attribute(pixels, 'DimensionOrder')?.slice(2) ?? '';
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
 * (https://docs.openmicroscopy.org/ome-model, Plane and Pixels). Undefined where the description says neither.
 */
export const omeTime = (
  description: string,
  t: number,
  channel: number,
  slice: number,
): PhysicalTime | undefined => {
  const pixels = pixelsOf(description);
  if (pixels === null) return undefined;
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
