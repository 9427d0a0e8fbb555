/** What authors of plugins and of programs around mesocast import. */
export { z } from 'zod';
export {
  defineCodec,
  defineDecoder,
  defineEncoder,
  definePredictor,
  defineSimulation,
  defineSink,
  defineSource,
  PLUGIN_API,
} from './pipeline/plugin.js';
export type {
  ByteSource,
  Codec,
  Incomplete,
  Plugin,
  PluginKind,
  Simulation,
  Sink,
  SinkContext,
  Source,
  SourceContext,
} from './pipeline/plugin.js';
export * from './pipeline/errors.js';
export type * from './pipeline/forecast.js';
export type * from './pipeline/frame.js';
