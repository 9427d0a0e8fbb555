/** What authors of pipelines and plugins build on. */
export { z } from 'zod';
export {
  defineCodec,
  defineDecoder,
  defineEncoder,
  definePredictor,
  defineSimulation,
  defineSink,
  PLUGIN_API,
} from './pipeline/plugins/plugin.js';
export type {
  ByteSource,
  Codec,
  Incomplete,
  Plugin,
  PluginKind,
  PluginKinds,
  Simulation,
  Sink,
  SinkContext,
  Stack,
  StackCodec,
} from './pipeline/plugins/plugin.js';
export { oneOf } from './formats/stacks.js';
export type {
  Boundary,
  Decoder,
  DecoderInputs,
  Encoded,
  Encoder,
  NetworkShape,
  Params,
  ParamSpec,
  Predictor,
  Stepped,
} from './forecaster/network.js';
export { describeShape, sameShape, sizeOf } from './pipeline/frame.js';
export type {
  Entry,
  Field,
  Frame,
  FrameShape,
  PhysicalTime,
  Region,
  Revision,
  SampleType,
  View,
} from './pipeline/frame.js';
export type {
  Contestant,
  Forecast,
  ForecasterId,
  ForecastTime,
  LeadOutlook,
  LeadScore,
  Normalisation,
  Score,
  Uncertainty,
  ValueRange,
} from './pipeline/forecast.js';
export type { ParameterValues } from './pipeline/parameters.js';
export {
  CodecError,
  codeOf,
  EngineError,
  exitCodeOf,
  ForecasterError,
  FrameError,
  MesocastError,
  messageOf,
  PluginError,
  SinkError,
  StartupError,
  StateError,
  UsageError,
} from './pipeline/errors.js';
export { attachSchema } from './pipeline/config/config.js';
export type { AttachConfig } from './pipeline/config/config.js';
export { loadConfig } from './pipeline/config/load-config.js';
export {
  builtInNames,
  codecForExtension,
  createPlugin,
  listPlugins,
  loadPlugin,
} from './pipeline/plugins/registry.js';
export type { PluginInfo } from './pipeline/plugins/registry.js';
export type { OptionInfo } from './pipeline/config/options.js';
export type { DeliveryCounts, Outcome, Run, RunEvent, Summary } from './pipeline/run.js';
export { attach, forecastOnce } from './pipeline/on-demand.js';
export type { AttachedRun, ForecastOnceOptions } from './pipeline/on-demand.js';
export { writePicture } from './pipeline/images/picture.js';
export type { Picture } from './pipeline/images/picture.js';
