import { join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { writeAtomically } from '../atomic.js';
import type { AttachConfig } from '../config/config.js';
import type { NamedSink } from './delivery.js';
import { openedWhenPossible } from './delivery.js';
import { UsageError } from '../errors.js';
import { createPlugin, isPath, shortName } from '../plugins/registry.js';

/**
 * Short and fit for a folder: `as`, or what the name of a package or file ends in.
 * @throws UsageError for two of one name: which of them gets what waits on disk would hang on their order
 */
export const sinkNames = (sinks: AttachConfig['sinks']): string[] => {
  const taken = new Set<string>();
  return sinks.map(({ name, as }) => {
    const short = as ?? shortName(name).replaceAll(/[^\w.-]/g, '_');
    if (taken.has(short))
      throw new UsageError(`two sinks are called ${short}`, {
        hint: 'give one of them another name with `as`',
      });
    taken.add(short);
    return short;
  });
};

type SinkSettings = AttachConfig['sinks'][number];

/**
 * The sinks that a configuration names, not opened yet.
 * @param out where they write, absolute
 * @param running settings of sinks that have worked in this process: one of those that cannot be opened again just now is
 * no reason to end it
 * @throws PluginError for one that does not exist or is set wrongly
 */
export const createSinks = (
  sinks: AttachConfig['sinks'],
  out: string,
  log: (message: string) => void,
  running: readonly SinkSettings[] = [],
): Promise<NamedSink[]> => {
  const context = { out, codec: (name: string) => createPlugin('codec', name, {}, undefined), log };
  const names = sinkNames(sinks);
  return Promise.all(
    sinks.map(async (settings, at) => {
      const name = names[at] ?? settings.name;
      const sink = await createPlugin('sink', settings.name, settings.options, context);
      const mayBeAway =
        settings.startup === 'retry' || running.some((known) => isDeepStrictEqual(known, settings));
      return { name, settings, sink: mayBeAway ? openedWhenPossible(name, sink, log) : sink };
    }),
  );
};

/** What `mesocast replay` has to know of a run. */
export interface SinksRecord {
  readonly version: 1;
  readonly out: string;
  readonly sinks: AttachConfig['sinks'];
}

/** Where the settings of a run's sinks are. */
export const sinksFile = (state: string): string => join(state, 'sinks.json');

/** Keeps the settings of the run's sinks in its state folder; plugins by path are made absolute. */
export const recordSinks = (state: string, out: string, sinks: AttachConfig['sinks']): Promise<void> => {
  const record: SinksRecord = {
    version: 1,
    out,
    sinks: sinks.map((sink) => ({
      ...sink,
      name: isPath(sink.name) && !sink.name.startsWith('file:') ? resolve(sink.name) : sink.name,
    })),
  };
  // Headers and URLs may hold secrets.
  return writeAtomically(sinksFile(state), Buffer.from(`${JSON.stringify(record, null, 2)}\n`), {
    mode: 0o600,
  });
};
