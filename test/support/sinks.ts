import { resolve } from 'node:path';
import type { Sink, SinkContext } from '../../src/pipeline/plugin.js';
import { createPlugin } from '../../src/pipeline/registry.js';

/** What the runner hands to sinks; messages are collected. */
export const sinkContext = (out: string): SinkContext & { readonly messages: string[] } => {
  const messages: string[] = [];
  return {
    out: resolve(out),
    codec: (name) => createPlugin('codec', name, {}, undefined),
    log: (message) => messages.push(message),
    messages,
  };
};

/** A sink as the runner makes it, by name or path. */
export const sinkAt = (
  out: string,
  name: string,
  options: Readonly<Record<string, unknown>> = {},
): Promise<Sink> => createPlugin('sink', name, options, sinkContext(out));
