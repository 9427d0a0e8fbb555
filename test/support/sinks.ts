import type { Sink } from '../../src/pipeline/plugins/plugin.js';
import { createPlugin } from '../../src/pipeline/plugins/registry.js';
import { sinkContext } from '../../src/testing/examples.js';

export { sinkContext } from '../../src/testing/examples.js';

/** A sink as the runner makes it, by name or path. */
export const sinkAt = (
  out: string,
  name: string,
  options: Readonly<Record<string, unknown>> = {},
): Promise<Sink> => createPlugin('sink', name, options, sinkContext(out));
