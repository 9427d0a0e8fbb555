import { join, resolve } from 'node:path';
import { firstForecaster, modesOf } from '../learning/modes.js';
import { noticeContext, parametersFor, rangesFor } from '../uncertainty/forecaster-set.js';
import type { AttachConfig } from './config/config.js';
import { rootsOf } from './config/roots.js';
import { createSinks } from './delivery/sinks.js';
import { openCodecs } from './intake/input.js';
import { requireRoots } from './intake/open-roots.js';
import { openPreparation } from './intake/preparation.js';

/** The folders of a run, absolute. */
export const placesOf = (config: AttachConfig) => {
  const out = resolve(config.out);
  return { roots: rootsOf(config), out, statePath: resolve(config.state ?? join(out, 'state')) };
};

/**
 * What a run needs that can be made without opening or writing anything, so that what is wrong with settings is found in
 * time. `settled`: the settings with what the user left to us.
 * @param running settings of sinks that have worked in this process
 * @throws UsageError, PluginError, StartupError, ForecasterError
 */
export const prepareRun = async (
  config: AttachConfig,
  notice: (message: string) => void,
  running: AttachConfig['sinks'] = [],
) => {
  const { roots, out, statePath } = placesOf(config);
  await requireRoots(roots, [out, statePath]);
  const forecaster = await firstForecaster(config);
  noticeContext(forecaster, config.context, notice);
  const settled = { ...config, ...modesOf(config, forecaster) };
  const ranges = rangesFor(forecaster, config.range);
  const told = parametersFor(forecaster, config.parameters);
  const preparation = await openPreparation(config);
  const codecs = await openCodecs(forecaster.channels, config.codecs, preparation.apply);
  const createdSinks = await createSinks(config.sinks, out, notice, running);
  return { settled, forecaster, ranges, told, preparation, codecs, createdSinks };
};
