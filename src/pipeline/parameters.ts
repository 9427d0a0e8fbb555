import { z } from 'zod';
import { didYouMean } from './closest.js';
import { UsageError } from './errors.js';

/** Scalars of a run by name, such as its temperature: the same for all of its frames. */
export type ParameterValues = Readonly<Record<string, number>>;

/** A scalar that a network is told, and the values that it knows: 0 and 1 to the network. */
export const parameterSchema = z
  .strictObject({
    name: z.string().min(1).describe('as --parameter and parameters.json have it'),
    low: z.number().describe('least value in training'),
    high: z.number().describe('greatest value in training'),
  })
  .refine(({ low, high }) => high > low, 'high must be larger than low');
export type Parameter = z.output<typeof parameterSchema>;

/** A scalar that has to be known; without a range, any value will do. */
export interface Asked {
  readonly name: string;
  readonly low?: number | undefined;
  readonly high?: number | undefined;
}

/** Numbers in messages. */
const short = (value: number): number => Number(value.toPrecision(4));

/** Values of the parameters as the network takes them. @throws UsageError naming one that is not known */
export const normalisedParameters = (
  parameters: readonly Parameter[],
  values: ParameterValues = {},
): number[] =>
  parameters.map(({ name, low, high }) => {
    const value = values[name];
    if (value === undefined)
      throw new UsageError(`the forecaster is told "${name}", which is not known`, {
        hint: `give --parameter ${name}=VALUE`,
      });
    return (value - low) / (high - low);
  });

/** One sentence for each value beyond those in training. */
export const extrapolations = (asked: readonly Asked[], values: ParameterValues): string[] =>
  asked.flatMap(({ name, low = -Infinity, high = Infinity }) => {
    const value = values[name];
    return value === undefined || (value >= low && value <= high)
      ? []
      : [
          `${name} is ${short(value)}, the forecaster knows ${short(low)} to ${short(high)}: its forecasts extrapolate`,
        ];
  });

/** @throws UsageError for values that nobody asked for: a slip in a name would go unseen */
export const requireAsked = (given: ParameterValues, asked: readonly string[]): void => {
  const extra = Object.keys(given).find((name) => !asked.includes(name));
  if (extra === undefined) return;
  throw new UsageError(`--parameter ${extra}=${given[extra]}: the forecaster is told no such parameter`, {
    hint: asked.length === 0 ? 'it is told none' : didYouMean(extra, asked),
  });
};
