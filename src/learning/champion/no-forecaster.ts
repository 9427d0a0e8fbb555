import type { Runner } from '../../forecaster/programs.js';
import { NO_FORECASTER } from '../../pipeline/forecast.js';
import type { GivenRange } from '../../pipeline/intake/normalisation.js';
import type { ForecasterSet } from '../../uncertainty/forecaster-set.js';

/**
 * Stands in until there is a forecaster: its forecasts are persistence, in whose place the trend is put. It takes grey frames of any size.
 * @param usual what those that are to be tried were trained with
 */
export const noForecaster = (usual: readonly GivenRange[] = []): ForecasterSet => ({
  id: NO_FORECASTER,
  forecasters: [],
  folder: '',
  members: 1,
  lagged: false,
  calibration: undefined,
  channels: 1,
  periodic: false,
  usual,
  ownRanges: undefined,
  latentStride: 1,
  run: (engine): Runner => ({
    engine,
    observe: (_shape, batch) => Promise.resolve(batch.map(() => [])),
    rollOut: (shape, batch, horizon) => {
      const size = shape[0] * shape[1] * shape[2];
      const data = new Float32Array(batch.length * horizon * size);
      for (let k = 0; k < batch.length * horizon; k++)
        data.set(batch[Math.floor(k / horizon)]!.frame, k * size);
      return engine.upload({ shape: [batch.length, horizon, ...shape], dtype: 'float32', data });
    },
    members: () => 1,
    dispose: () => Promise.resolve(),
  }),
});
