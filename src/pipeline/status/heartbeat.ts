import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAtomically } from '../atomic.js';
import { codeOf, messageOf, StateError } from '../errors.js';
import type { ForecasterId } from '../forecast.js';
import type { SinkHealth } from '../delivery/sink-set.js';
import type { Waiting } from '../intake/series-tracker.js';
import type { StateFolder } from '../state/state-folder.js';

/** Of which frame, by whom, and how many frames ahead it is trusted. */
export interface NewestForecast {
  readonly index: number;
  readonly forecaster: ForecasterId;
  readonly trustedFrames: number;
}

/** What a daemon knows that is not in its ledger, as `status.json` in the state folder has it. */
export interface Heartbeat {
  readonly version: 2;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly writtenAt: string;
  /** When its state folder was taken, as the lock has it; older versions did not write it. */
  readonly since?: string;
  /** The run drained and ended; what follows is how it was then. */
  readonly ended: boolean;
  /** The folders that it follows. */
  readonly directories: readonly string[];
  readonly out: string;
  /** The one that the run began with. */
  readonly forecaster: ForecasterId;
  /** Frames between reading and acknowledgement, and their bytes. */
  readonly memory: { readonly frames: number; readonly bytes: number };
  /** Files that are not handed on yet, by series. */
  readonly waiting: Readonly<Record<string, Waiting>>;
  /** The newest forecast of each series; of the 256 whose last one is newest where there are more. */
  readonly newest: Readonly<Record<string, NewestForecast>>;
  /** Deliveries of this run, by sink. */
  readonly sinks: Readonly<Record<string, SinkHealth>>;
}

/** Milliseconds between two of them. */
const INTERVAL = 2000;

const pathIn = (state: string): string => join(state, 'status.json');

/** Writes one now and then until it is told to end; the last one says so. What cannot be written is left out. */
export const startHeartbeat = (
  { path: state, since }: Pick<StateFolder, 'path' | 'since'>,
  facts: () => Omit<Heartbeat, 'version' | 'startedAt' | 'writtenAt' | 'since' | 'ended'>,
): { end(): Promise<void> } => {
  const startedAt = new Date().toISOString();
  let written: Promise<unknown> = Promise.resolve();
  let isWriting = false;
  const write = (ended: boolean): void => {
    if (isWriting && !ended) return; // a disk that is slow, or away, is told of the newest when it answers
    isWriting = true;
    const beat: Heartbeat = {
      version: 2,
      startedAt,
      writtenAt: new Date().toISOString(),
      since,
      ended,
      ...facts(),
    };
    // The run does not depend on it: a full disk is told of by the ledger.
    written = written.then(() =>
      writeAtomically(pathIn(state), Buffer.from(`${JSON.stringify(beat)}\n`))
        .catch(() => undefined)
        .finally(() => (isWriting = false)),
    );
  };
  write(false);
  const timer = setInterval(() => {
    write(false);
  }, INTERVAL).unref();
  return {
    end: async () => {
      clearInterval(timer);
      write(true);
      await written;
    },
  };
};

/** The last one of a state folder; undefined when no run wrote one. @throws StateError when it cannot be read */
export const readHeartbeat = async (state: string): Promise<Heartbeat | undefined> => {
  try {
    const beat = JSON.parse(await readFile(pathIn(state), 'utf8')) as Heartbeat;
    if (beat.version !== 2) throw new Error('another version of mesocast wrote it');
    return beat;
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return undefined;
    throw new StateError(`${pathIn(state)}: ${messageOf(cause)}`, { cause });
  }
};
