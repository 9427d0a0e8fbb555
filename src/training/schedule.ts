import type { TrainOptions } from './options.js';

/** Parts of the training that forecast further and further: share of the steps, share of the leads. */
const CURRICULUM = [
  { until: 0.2, leads: 0.2 },
  { until: 0.4, leads: 0.5 },
  { until: 1, leads: 1 },
] as const;

/** Leads that step `iteration` rolls out to. */
export const leadsAt = (iteration: number, { iterations, leads }: TrainOptions): number => {
  const part = CURRICULUM.find(({ until }) => iteration < until * iterations) ?? CURRICULUM[2];
  return Math.max(1, Math.round(part.leads * leads));
};

/** Share of the steps over which the learning rate rises. */
const WARM_UP = 0.05;
/** Learning rate: rises linearly, then falls as a cosine to 2 %. */
export const rateAt = (iteration: number, { iterations, rate }: TrainOptions): number => {
  const rise = Math.min(1, (iteration + 1) / (WARM_UP * iterations));
  return rate * rise * (0.02 + 0.98 * 0.5 * (1 + Math.cos((Math.PI * iteration) / iterations)));
};

const LONGEST_AVERAGE = 0.995;
/** Decay of the average of weights: short at first, so that the average leaves the random weights behind. */
export const decayAt = (iteration: number): number =>
  Math.min(LONGEST_AVERAGE, (1 + iteration) / (10 + iteration));

/** Share of the steps after which the network sees its own forecasts alone (scheduled), or the truth alone (reverse). */
const SAMPLING_PART = 0.5;
/**
 * Probability that the network is shown the truth instead of its own forecast of it.
 * Scheduled sampling (Bengio et al., NeurIPS 2015): after the context, falling from 1 to 0. Reverse scheduled sampling
 * (Wang et al., PredRNN, TPAMI 2022): inside the context, rising from a half to 1.
 */
export const truthShareAt = (iteration: number, { iterations, sampling }: TrainOptions): number => {
  const done = Math.min(1, iteration / (SAMPLING_PART * iterations));
  return sampling === 'scheduled' ? 1 - done : sampling === 'reverse' ? 0.5 + 0.5 * done : 1;
};
