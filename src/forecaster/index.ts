/** What authors of networks build on: `mesocast/networks`. */
export {
  activate,
  biasSpec,
  channelsToPixels,
  convolve,
  enlarge,
  filterSpec,
  padBoundary,
  pixelsToChannels,
  weight,
} from './layers.js';
export type {
  Boundary,
  Decoder,
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
