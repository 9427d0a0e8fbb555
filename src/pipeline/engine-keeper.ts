import { isDeepStrictEqual } from 'node:util';
import { openEngine, type Engine } from '../engine/index.js';

/** The engine of runs that follow each other in one process. */
export interface EngineKeeper {
  /** The one that is open, when it was opened with the same settings. */
  open(device: string, threads: number | undefined, notice: (message: string) => void): Promise<Engine>;
  dispose(): Promise<void>;
}

export const engineKeeper = (): EngineKeeper => {
  let kept: { readonly settings: readonly unknown[]; readonly engine: Engine } | undefined;
  return {
    open: async (device, threads, notice) => {
      const settings = [device, threads];
      if (kept !== undefined && isDeepStrictEqual(kept.settings, settings)) return kept.engine;
      const engine = await openEngine(device, threads, notice);
      await kept?.engine.dispose();
      kept = { settings, engine };
      return engine;
    },
    dispose: async () => {
      await kept?.engine.dispose();
      kept = undefined;
    },
  };
};
