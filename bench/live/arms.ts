import type { Conditions } from './attached.js';

/** `SYSTEM` is the forecaster that ships for the nearest system. */
export const SYSTEM = 'SYSTEM';

interface Arm extends Omit<Conditions, 'more'> {
  readonly more?: number;
}

/** Frames enough after those that count for twenty forecasts in a row after the first ten. */
const EARLY = { interval: 6, frames: 20, doubled: false, more: 70 };

/** The conditions that each simulation is learned under. */
export const ARMS: Readonly<Record<string, Arm>> = {
  scratch: {
    ...{ interval: 6, frames: 60, doubled: false },
    options: ['--learn', 'scratch', '--learn-budget', '100%'],
  },
  'half budget': {
    ...{ interval: 2, frames: 60, doubled: false },
    options: ['--learn', 'scratch', '--learn-budget', '50%'],
  },
  unnamed: { ...EARLY, options: ['--learn-budget', '100%'] },
  nearest: {
    ...EARLY,
    options: ['--forecaster', SYSTEM, '--learn', 'adapt', '--learn-budget', '100%'],
  },
  doubled: {
    ...{ interval: 1, frames: 60, doubled: true, more: 20 },
    options: ['--learn', 'scratch', '--learn-budget', '50%'],
  },
  'pace, learning off': {
    ...{ interval: 0.5, frames: 160, doubled: false, more: 0 },
    options: ['--forecaster', SYSTEM, '--learn', 'off'],
  },
  'pace, learning': {
    ...{ interval: 0.5, frames: 160, doubled: false, more: 0 },
    options: ['--forecaster', SYSTEM, '--learn', 'adapt', '--learn-budget', '100%'],
  },
};
