import { UsageError } from '../pipeline/errors.js';
import type { Simulation } from '../pipeline/plugins/plugin.js';
import { createPlugin } from '../pipeline/plugins/registry.js';

/**
 * A simulation by name, with its options.
 * @throws UsageError from `next` when it has become unstable: no frame holds values that are not finite
 */
export const startSimulation = async (
  name: string,
  options: Readonly<Record<string, unknown>>,
): Promise<Simulation> => {
  const simulation = await createPlugin('simulation', name, options, undefined);
  let frames = 0;
  return {
    ...simulation,
    next: () => {
      const data = simulation.next();
      if (!data.every(Number.isFinite))
        throw new UsageError(
          `the simulation ${name} became unstable: frame ${frames} has values that are not finite`,
          { hint: `its time step is too long for these options: ${JSON.stringify(options)}` },
        );
      frames++;
      return data;
    },
  };
};
