import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Statistic } from '../src/evaluation/statistics.js';

/** A path of the repository: what runs is compiled into dist/bench. */
export const fromRoot = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** What a forecaster of a system has to reach; errors of statistics in percent. */
export interface Bars extends Partial<Record<Statistic, number>> {
  readonly persistence: number;
  readonly skill: number;
  readonly fractionPoints?: number;
  readonly meanDrift?: number;
}

export interface Simulated {
  readonly simulation: string;
  readonly options: Readonly<Record<string, unknown>>;
}

export interface System extends Simulated {
  /** Physical values that normalise to 0 and 1; default: measured for each series. */
  readonly range?: readonly [number, number];
  /** Normalised value between two phases, or a grain and its boundary. */
  readonly threshold: number;
  /** What long roll-outs are held to. */
  readonly statistics: readonly Statistic[];
  readonly bars: Bars;
}

/** bench/systems.json: data sets that are frozen, so that figures of today and tomorrow are of the same. */
export interface Systems {
  readonly heldOut: Readonly<Record<'firstSeed' | 'series' | 'frames' | 'context' | 'horizon', number>>;
  readonly systems: Readonly<Record<string, System>>;
  /** Simulations that no forecaster was trained for, and what learning beside them has to reach after 60 frames. */
  readonly live: {
    readonly firstSeed: number;
    readonly series: number;
    readonly systems: Readonly<Record<string, Simulated & { readonly bar: number }>>;
  };
}

export const loadSystems = async (): Promise<Systems> =>
  JSON.parse(await readFile(fromRoot('bench/systems.json'), 'utf8')) as Systems;

/** Runs mesocast as a user does. @throws Error with its message when it fails */
export const mesocast = (...args: (string | number)[]): string => {
  const words = [fromRoot('dist/src/cli/main.js'), ...args.map(String)];
  const { status, stdout, stderr } = spawnSync(process.execPath, words, {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  if (status !== 0) throw new Error(`mesocast ${args.join(' ')} failed: ${stderr.trim()}`);
  return stdout;
};

const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** Writes series of a system into a folder, seeds counting up, as exact values. */
export const simulate = (
  { simulation, options }: Simulated,
  wanted: {
    readonly series: number;
    readonly firstSeed: number;
    readonly frames: number;
    readonly size: string;
  },
  folder: string,
): void => {
  const flags = Object.entries(options).flatMap(([name, value]) => [`--${kebab(name)}`, String(value)]);
  const { series, firstSeed, frames, size } = wanted;
  const made = ['--count', series, '--seed', firstSeed, '--frames', frames, '--size', size];
  mesocast('simulate', simulation, ...flags, ...made, '--format', 'npy', '--out', folder);
};
