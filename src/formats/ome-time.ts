import type { PhysicalTime } from '../pipeline/frame.js';

const attribute = (tag: string, name: string): string | undefined =>
  new RegExp(`\\b${name}="([^"]*)"`).exec(tag)?.[1];

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
  const pixels = /<Pixels\b[^>]*>/.exec(description);
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
