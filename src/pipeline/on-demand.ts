import type { forecastOnce as ForecastOnce } from './forecast-once.js';
import type { attach as Attach } from './runner.js';

// Plugins import mesocast for its contracts, perhaps a copy of their own. The pipeline, with TensorFlow.js and ONNX Runtime, is
// loaded when it is used.

/** As `attach` of runner.ts. */
export const attach: typeof Attach = async (...args) => (await import('./runner.js')).attach(...args);

/** As `forecastOnce` of forecast-once.ts. */
export const forecastOnce: typeof ForecastOnce = async (...args) =>
  (await import('./forecast-once.js')).forecastOnce(...args);
