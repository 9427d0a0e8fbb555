import type { Engine } from '../../engine/index.js';
import type { Runner } from '../../forecaster/programs.js';
import { ForecasterError, messageOf } from '../../pipeline/errors.js';
import { NO_FORECASTER } from '../../pipeline/forecast.js';
import {
  loadForecasterSet,
  type ForecasterSet,
  type UncertaintyOptions,
} from '../../uncertainty/forecaster-set.js';
import { createBetweenBatches, type BetweenBatches } from './between-batches.js';
import { noForecaster } from './no-forecaster.js';

/** Forecasters that stay ready: the one in use, and what frames that come again may ask for. */
const MOST = 3;

/** A forecaster that makes forecasts, on an engine. */
export interface Champion {
  readonly set: ForecasterSet;
  readonly runner: Runner;
}

export interface ChampionsOptions {
  /** Of the run: that of its first forecaster. */
  readonly engine: Engine;
  /** What the run was given; it makes the forecasts where another cannot be read. */
  readonly first: ForecasterSet;
  readonly asked: UncertaintyOptions;
  readonly tile: number | undefined;
  /** Where what was learned in this run is. */
  readonly versions: string;
  readonly folderOf: (hash: string) => string | undefined;
  readonly notice: (message: string) => void;
}

/**
 * Forecasters by hash, each on an engine of its own but the run's first one: an engine does one thing after the other, and
 * no frame is to wait until what a new forecaster needs is compiled.
 */
export interface Champions {
  /** @throws ForecasterError when it is not known, cannot be read, or takes other frames than this run has */
  read(hash: string): Promise<ForecasterSet>;
  /** One that is there already stays. */
  place(hash: string, set: ForecasterSet): Promise<Champion>;
  /** For a batch of frames: it stays at least until it is asked for the next one. */
  of(hash: string): Promise<Champion>;
  /** Whether the one in use has a batch under way: what gets ready meanwhile waits, so that it does not share the processor. */
  readonly working: (isWorking: boolean) => void;
  /** It could not get ready, and is not in use. */
  readonly forget: (hash: string) => void;
  /** No more batches come: what gets ready waits for none. */
  readonly end: () => void;
  dispose(): Promise<void>;
}

interface Placed extends Champion {
  readonly end: () => Promise<void>;
}

/** An engine that compiles and runs between batches, unless its forecaster `isInUse`. `isKept`: as of its programs. */
const polite = (
  engine: Engine,
  isKept: boolean,
  isInUse: () => boolean,
  between: BetweenBatches,
): Engine => ({
  ...engine,
  get liveHandles() {
    return engine.liveHandles;
  },
  compile: async (fn, inputs) => {
    if (!isInUse()) await between.time();
    const program = await engine.compile(fn, inputs, { isKept });
    return {
      ...program,
      run: async (given) => {
        if (!isInUse()) await between.time();
        return program.run(given);
      },
    };
  },
});

/** Whether its thread lives, and nothing of what it computed is left on it. */
const isSound = (engine: Engine): Promise<boolean> =>
  engine.upload({ shape: [1], dtype: 'float32', data: new Float32Array(1) }).then(
    (handle) => {
      handle.release();
      return engine.liveHandles === 0;
    },
    () => false,
  );

export const createChampions = (options: ChampionsOptions): Champions => {
  const { engine, first, asked, tile, versions, folderOf, notice } = options;
  const placed = new Map<string, Promise<Placed>>();
  /** Whose the last batch was: it may be under way. */
  let inUse: string | undefined;
  const between = createBetweenBatches();
  /** Engines whose forecaster is no longer wanted: threads that have started, and code that is warm. */
  const spare: Engine[] = [];

  const bring = async (set: ForecasterSet): Promise<Placed> => {
    const isFirst = set.id.hash === first.id.hash || set.id.hash === NO_FORECASTER.hash;
    const isInUse = (): boolean => inUse === set.id.hash;
    const another = async (): Promise<Engine | undefined> => {
      if (!isInUse()) await between.time(); // a thread that starts loads ONNX Runtime
      try {
        return await engine.another();
      } catch (error) {
        notice(
          `there is no second engine, so frames wait while ${set.id.name} gets ready: ${messageOf(error)}`,
        );
        return undefined;
      }
    };
    const own = isFirst ? undefined : (spare.pop() ?? (await another()));
    // A version is in use for a while and never again: its programs would take the place of others on disk.
    const isKept = !set.folder.startsWith(versions);
    const runner = set.run(polite(own ?? engine, isKept, isInUse, between), tile, notice);
    const end = async (): Promise<void> => {
      await runner.dispose();
      if (own === undefined) return;
      if (await isSound(own)) spare.push(own);
      else await own.dispose();
    };
    return { set, runner, end };
  };
  const read = async (hash: string): Promise<ForecasterSet> => {
    if (hash === first.id.hash) return first;
    if (hash === NO_FORECASTER.hash) return noForecaster();
    const folder = folderOf(hash);
    if (folder === undefined) throw new ForecasterError(`nothing is known of the forecaster ${hash}`);
    const set = await loadForecasterSet(folder, asked);
    if (set.channels !== first.channels)
      throw new ForecasterError(
        `the forecaster in ${folder} takes ${set.channels} channels, this run has ${first.channels}`,
      );
    return set;
  };
  const load = async (hash: string): Promise<Placed> => {
    try {
      return await bring(await read(hash));
    } catch (error) {
      notice(`${messageOf(error)}: forecasts are those of ${first.id.name} again`);
      return bring(first);
    }
  };
  const ending = new Set<Promise<void>>();
  const end = (champion: Promise<Placed> | undefined): void => {
    const ended = (champion ?? Promise.resolve(undefined))
      .then((one) => one?.end())
      .catch((error: unknown) => notice(messageOf(error)))
      .finally(() => ending.delete(ended));
    ending.add(ended);
  };
  /** The last one used comes last. A run of months has many: the ones that were not used for longest go. */
  const keep = (hash: string, champion: Promise<Placed>): Promise<Champion> => {
    placed.delete(hash);
    placed.set(hash, champion);
    champion.catch(() => {
      if (placed.get(hash) === champion) placed.delete(hash); // what went wrong may not the next time
    });
    const oldest = [...placed.keys()].find((known) => known !== inUse);
    if (placed.size > MOST && oldest !== undefined) {
      end(placed.get(oldest));
      placed.delete(oldest);
    }
    return champion;
  };

  return {
    read,
    place: (hash, set) => keep(hash, placed.get(hash) ?? bring(set)),
    of: (hash) => {
      inUse = hash;
      return keep(hash, placed.get(hash) ?? load(hash));
    },
    working: between.working,
    forget: (hash) => {
      end(placed.get(hash));
      placed.delete(hash);
    },
    end: between.end,
    dispose: async () => {
      between.end();
      await Promise.all(ending);
      const ends = await Promise.allSettled([...placed.values()].map(async (one) => (await one).end()));
      ends.push(...(await Promise.allSettled(spare.map((own) => own.dispose()))));
      for (const one of ends) if (one.status === 'rejected') notice(messageOf(one.reason));
    },
  };
};
