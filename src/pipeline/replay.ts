import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { didYouMean } from './closest.js';
import type { AttachConfig } from './config/config.js';
import type { NamedSink } from './delivery/delivery.js';
import { closeSinks, deliverTo, isRetryable, openSinks } from './delivery/delivery.js';
import { codeOf, isOurs, messageOf, StateError, UsageError } from './errors.js';
import type { KeptDeliveries } from './delivery/kept-deliveries.js';
import { openSinkFolder, sinksWithFiles } from './delivery/sink-folder.js';
import type { SinksRecord } from './delivery/sinks.js';
import { createSinks, sinkNames, sinksFile } from './delivery/sinks.js';
import { findState } from './state/find-state.js';
import { openStateFolder } from './state/state-folder.js';

export interface ReplayOptions {
  /** The output folder of a run, or its state folder. */
  readonly directory: string;
  /** Only this sink, by its name in the run. */
  readonly sink?: string;
  /** Changes the settings that the run had, such as a URL that is another one now. */
  readonly settings?: (sinks: AttachConfig['sinks']) => AttachConfig['sinks'];
  readonly notice: (message: string) => void;
  readonly signal: AbortSignal;
}

/** What became of the deliveries of one sink. */
export interface Replayed {
  readonly delivered: number;
  /** Still on disk: refused again, or not tried because the sink does not work. */
  readonly left: number;
}

/** Tries with one delivery, with these pauses between them; then the sink is taken for dead. */
const PAUSES_MS = [250, 1000];

/** @throws StateError when the file is not one that a run wrote */
const readSinks = async (state: string): Promise<SinksRecord> => {
  const path = sinksFile(state);
  try {
    const record = JSON.parse(await readFile(path, 'utf8')) as SinksRecord;
    if (record.version !== 1 || !Array.isArray(record.sinks)) throw new Error('another version wrote it');
    return record;
  } catch (cause) {
    throw new StateError(`${path}: ${messageOf(cause)}`, {
      cause,
      hint: 'a run of mesocast attach writes it when it starts',
    });
  }
};

/**
 * Delivers what lies on disk, each sink's in its order: what waited for it, then what it refused. Needs the state folder
 * for itself, as a run does. What is delivered is removed. A sink that cannot start keeps what is its own, and is told.
 * @throws UsageError, StateError; PluginError, StartupError where the one sink that is asked for cannot start
 */
export const replay = async (options: ReplayOptions): Promise<Record<string, Replayed>> => {
  const { notice, signal, sink: only } = options;
  const path = findState(options.directory);
  const folder = openStateFolder(path);
  try {
    const { out, sinks } = await readSinks(path);
    const settings = options.settings?.(sinks) ?? sinks;
    const known = sinkNames(settings);
    if (only !== undefined && !known.includes(only))
      throw new UsageError(`there is no sink "${only}" in this run`, { hint: didYouMean(only, known) });
    const result: Record<string, Replayed> = {};
    for (const name of only === undefined ? await sinksWithFiles(path) : [only]) {
      const { spill, refused } = await openSinkFolder(path, name);
      const total = spill.list().length + refused.list().length;
      if (total === 0) continue;
      const config = settings[known.indexOf(name)];
      if (config === undefined) {
        notice(
          `sink ${name} is not among the sinks of the last run: its ${total} deliveries stay where they are`,
        );
        result[name] = { delivered: 0, left: total };
        continue;
      }
      try {
        const [sink] = await createSinks([{ ...config, as: name, startup: 'fail' }], out, notice);
        await openSinks([sink!], signal, notice);
        try {
          result[name] = await deliverKept(sink!, [spill, refused], signal, notice);
        } finally {
          await closeSinks([sink!], notice);
        }
      } catch (error) {
        if (only !== undefined || signal.aborted || !isOurs(error)) throw error;
        // The others may work.
        notice(`sink ${name}: ${messageOf(error)}; its ${total} deliveries stay where they are`);
        result[name] = { delivered: 0, left: total };
      }
    }
    return result;
  } finally {
    folder.release();
  }
};

const deliverKept = async (
  { name, sink }: NamedSink,
  folders: readonly KeptDeliveries[],
  signal: AbortSignal,
  notice: (message: string) => void,
): Promise<Replayed> => {
  let [delivered, left] = [0, 0];
  for (const folder of folders) {
    for (const kept of folder.list()) {
      try {
        const delivery = await folder.read(kept);
        await withTries(() => deliverTo(sink, delivery, signal), signal);
        await folder.remove(kept);
        delivered++;
      } catch (error) {
        left++;
        notice(`sink ${name}: ${messageOf(error)}; ${kept.path} stays`);
        // A sink that does not work at all would take its time with each of them, and get later ones before earlier ones.
        if (signal.aborted || (isRetryable(error) && codeOf(error) !== 'ENOENT'))
          return { delivered, left: folders.reduce((sum, rest) => sum + rest.list().length, 0) };
      }
    }
  }
  return { delivered, left };
};

const withTries = async (work: () => Promise<void>, signal: AbortSignal): Promise<void> => {
  for (const pause of PAUSES_MS) {
    try {
      return await work();
    } catch (error) {
      if (signal.aborted || !isRetryable(error)) throw error;
      await sleep(pause, undefined, { signal });
    }
  }
  return work();
};
