import type { AttachConfig } from './config/config.js';
import type { ForecastOnceOptions } from './forecast-once.js';
import type { Forecast } from './forecast.js';
import type { AttachedRun } from './runner.js';

export type { AttachedRun, ForecastOnceOptions };

// Plugins import mesocast for its contracts, perhaps a copy of their own. The pipeline, with TensorFlow.js and ONNX Runtime, is
// loaded when it is used.

/**
 * Attaches to the folders of `config`, which `attachSchema` makes of the settings that are given. Resolves once sinks, ledger
 * and folders are open; events begin after the caller has had a chance to subscribe to them.
 * @throws UsageError, PluginError, StartupError, ForecasterError, StateError: nothing is left open then
 */
export const attach = async (config: AttachConfig): Promise<AttachedRun> =>
  (await import('./runner.js')).attach(config);

/**
 * One forecast from the last `context` frames (times `stride`) of a folder, or from those up to a file, delivered to the
 * sinks. No truth is needed, and no state is kept.
 * @throws UsageError, PluginError, StartupError, ForecasterError, CodecError, FrameError, EngineError, and what a sink throws
 */
export const forecastOnce = async (options: ForecastOnceOptions): Promise<Forecast> =>
  (await import('./forecast-once.js')).forecastOnce(options);
