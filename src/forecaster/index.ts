/** What authors of networks build on: `mesocast/networks`. */
export {
  activate,
  biasSpec,
  channelsToPixels,
  convolve,
  convolveEach,
  enlarge,
  filterSpec,
  gelu,
  normaliseChannels,
  padBoundary,
  pixelsToChannels,
  silu,
  weight,
} from './layers.js';
export {
  checkOutput,
  inflow,
  nextFrame,
  outputChannels,
  outputOptions,
  outputParams,
  type Output,
} from './outputs.js';
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
} from './network.js';
export {
  bind,
  networkParams,
  observe,
  rollOut,
  stateShapes,
  type Network,
  type State,
} from './network-functions.js';
export {
  assemble,
  buildNetwork,
  initialWeights,
  settingsSchema,
  type Forecaster,
  type Settings,
} from './forecaster.js';
export { loadForecaster, saveForecaster, shippedForecasters } from './folder.js';
export { readSafetensors, writeSafetensors, type Weight } from './safetensors.js';
