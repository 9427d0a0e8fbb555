import { z } from 'zod';
import { CodecError } from '../pipeline/errors.js';
import type { Field, SampleType } from '../pipeline/frame.js';

/** One named array of a file that may hold several. */
export interface NamedArray {
  readonly name: string;
  readonly components: number;
}

/** One array that was asked for; `component` where only one of its components was. */
export interface Chosen<A extends NamedArray> {
  readonly array: A;
  readonly component: number | undefined;
}

/** More than any microscope or phase-field model puts in one frame; what has more is a volume. */
export const MAX_CHANNELS = 16;

/** The option of every codec whose files hold named fields. */
export const fieldOption = z
  .union([z.string(), z.array(z.string()).min(1)])
  .optional()
  .describe(
    'which field to read, or a list of fields that become channels; "velocity.0" is the first component of velocity',
  );

const listOf = (arrays: readonly NamedArray[]): string => {
  const names = arrays.map(({ name, components }) =>
    components === 1 ? name : `${name} (${components} components)`,
  );
  const [shown, more] = [names.slice(0, 20), names.length - 20];
  return shown.join(', ') + (more > 0 ? ` and ${more} more` : '');
};

/**
 * The arrays that `wanted` names; without it the only one there is.
 * @param option what people set to choose: "vti.field"
 * @throws CodecError that lists the fields that are there
 */
export const chooseFields = <A extends NamedArray>(
  wanted: string | readonly string[] | undefined,
  available: readonly A[],
  option: string,
): Chosen<A>[] => {
  const [only, another] = available;
  if (only === undefined) throw new CodecError('it holds no field');
  if (wanted === undefined) {
    if (another === undefined) return [{ array: only, component: undefined }];
    throw new CodecError(`it holds several fields: ${listOf(available)}; name one with the option ${option}`);
  }
  const names = typeof wanted === 'string' ? [wanted] : wanted;
  return names.map((name) => {
    const whole = available.find((array) => array.name === name);
    if (whole !== undefined) return { array: whole, component: undefined };
    const [, base, digits] = /^(.+)\.(\d+)$/.exec(name) ?? [];
    const array = available.find((candidate) => candidate.name === base);
    if (array === undefined || Number(digits) >= array.components)
      throw new CodecError(`it holds no field "${name}", but ${listOf(available)} (option ${option})`);
    return { array, component: Number(digits) };
  });
};

/** Values of a chosen array, its components side by side for each pixel. */
export interface Part {
  readonly values: Float32Array;
  readonly components: number;
  readonly component: number | undefined;
  readonly sampleType: SampleType;
}

/**
 * One frame of several arrays, their components as channels.
 * @throws CodecError when there are too many channels or values do not fill the image
 */
export const joinChannels = (height: number, width: number, parts: readonly Part[]): Field => {
  const channels = parts.reduce(
    (sum, { component, components }) => sum + (component === undefined ? components : 1),
    0,
  );
  if (channels > MAX_CHANNELS)
    throw new CodecError(
      `its fields have ${channels} components: a frame has at most ${MAX_CHANNELS} channels`,
    );
  const pixels = height * width;
  for (const { values, components } of parts)
    if (values.length !== pixels * components)
      throw new CodecError(`${values.length} values do not fill ${height}x${width}x${components}`);
  const [first] = parts;
  const sampleType = parts.every((part) => part.sampleType === first?.sampleType)
    ? (first?.sampleType ?? 'float32')
    : 'float32';
  const shape = [height, width, channels] as const;
  if (first !== undefined && parts.length === 1 && first.component === undefined)
    return { shape, data: first.values, sampleType };
  const data = new Float32Array(pixels * channels);
  let channel = 0;
  for (const { values, components, component } of parts) {
    const [from, to] = component === undefined ? [0, components] : [component, component + 1];
    for (let c = from; c < to; c++, channel++)
      for (let i = 0; i < pixels; i++) data[i * channels + channel] = values[i * components + c] ?? 0;
  }
  return { shape, data, sampleType };
};
