import type { AttachConfig } from './config.js';
import type { NamedSink } from './delivery.js';
import { createPlugin } from './registry.js';

/**
 * The sinks that a configuration names, not opened yet.
 * @param out where they write, absolute
 * @throws PluginError for one that does not exist or is set wrongly
 */
export const createSinks = (
  sinks: AttachConfig['sinks'],
  out: string,
  log: (message: string) => void,
): Promise<NamedSink[]> => {
  const context = { out, codec: (name: string) => createPlugin('codec', name, {}, undefined), log };
  return Promise.all(
    sinks.map(async ({ name, options, required }) => ({
      name,
      required,
      sink: await createPlugin('sink', name, options, context),
    })),
  );
};
