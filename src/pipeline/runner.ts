import {
  concatMap,
  connect,
  filter,
  groupBy,
  ignoreElements,
  lastValueFrom,
  map,
  mergeMap,
  of,
  Subject,
  zip,
  type Observable,
} from 'rxjs';
import { byChampion } from '../learning/champion/by-champion.js';
import { batch } from '../stages/batch.js';
import { compose } from '../stages/compose.js';
import { decode } from '../stages/decode.js';
import { emit } from '../stages/emit.js';
import { encode, networkShape } from '../stages/encode.js';
import { predict, type ForecastRoom } from '../stages/predict.js';
import { read } from '../stages/read.js';
import { verify } from '../stages/verify.js';
import { watch } from '../stages/watch.js';
import { intervalOf, type ForecasterSet } from '../uncertainty/forecaster-set.js';
import { cleanup } from './cleanup.js';
import type { AttachConfig } from './config/config.js';
import type { Delivery } from './delivery/delivery.js';
import { engineKeeper, type EngineKeeper } from './engine-keeper.js';
import type { Score } from './forecast.js';
import type { Entry } from './frame.js';
import { createCredits, type Credits } from './intake/credits.js';
import type { Predicted } from './in-flight.js';
import { frameTimes } from './intake/frame-times.js';
import { runParameters } from './intake/run-parameters.js';
import type { SeriesTracker, Waiting } from './intake/series-tracker.js';
import { openRun, type OpenRun } from './open-run.js';
import { createOutcomes, type Outcomes } from './outcomes.js';
import { placesOf } from './prepare-run.js';
import type { Observation, Ready, Run, RunEvent, Summary } from './run.js';
import { scoreOf } from './state/outstanding.js';
import { createRecall } from './state/recall.js';
import { createSeriesClock, ticksBefore } from './state/series-clock.js';
import { createSeriesMemory, type SeriesMemory } from './state/series-memory.js';
import { startHeartbeat } from './status/heartbeat.js';

/** Milliseconds that a stop may take before what still waits for a sink is left to the next run. */
const DRAIN = 20_000;

const scoreDeliveries = (scores: readonly Score[]): Delivery[] =>
  scores.map((score) => ({ type: 'score', score }));

const forecastDelivery = ({ forecast }: Observation): Delivery[] =>
  forecast === undefined ? [] : [{ type: 'forecast', forecast }];

const waitingOf = (trackers: ReadonlyMap<string, SeriesTracker>): Record<string, Waiting> =>
  Object.fromEntries(
    [...trackers].flatMap(([series, tracker]) => {
      const waiting = tracker.firstWaiting();
      return waiting === undefined ? [] : [[series, waiting] as const];
    }),
  );

const letGo = (batch: readonly Predicted[]): void =>
  batch.forEach(({ rollOut, release }) => {
    rollOut?.frames.release();
    release?.();
  });

/** Arrays [horizon, H, W, C] that a forecast may hold: frames, those before leads are made by others, spread, interval. */
const layersOf = ({ madeBy, interval }: AttachConfig, { members, lagged }: ForecasterSet): number =>
  1 + (madeBy === 'forecaster' ? 0 : 1) + (members > 1 || lagged ? 1 : 0) + (interval === undefined ? 0 : 2);

interface ObserveContext {
  readonly outcomes: Outcomes;
  readonly credits: Credits;
  readonly room: Omit<ForecastRoom, 'layers'>;
  /** Filled by the series that are found. */
  readonly trackers: Map<string, SeriesTracker>;
  /** When it aborts, no more frames are taken in. */
  readonly signal: AbortSignal;
  readonly notice: (message: string) => void;
}

/** The way of a frame, from the directory to its forecast. */
const observe = (
  config: AttachConfig,
  run: OpenRun,
  { outcomes, credits, room, trackers, signal, notice }: ObserveContext,
): Observable<Observation> => {
  const { ledger, live, judge, preparation, ranges, told } = run;
  const { context, horizon, stride } = config;
  const codecFor = run.codecs.for;
  const stageContext = { signal, fail: outcomes.fail, notice, now: () => new Date(), ledger };
  const memory: SeriesMemory = {
    ...createSeriesMemory(ledger),
    recall: createRecall({ ledger, codecFor, notice }),
    notice,
  };
  const clock = createSeriesClock({
    window: context,
    stride,
    history: (series, position) => ticksBefore(ledger, series, position, context),
    notice,
  });
  const rootOf = ({ entry }: Ready): number => run.watched.findIndex((root) => root.owns(entry.series));
  const readContext = {
    ...stageContext,
    credits,
    codecFor,
    timeOf: frameTimes(config.frameInterval),
    parametersOf: runParameters({ ...told, notice }),
    giveBack: (entry: Entry, why: string, isGone: boolean) =>
      trackers.get(entry.series)?.takeBack(entry, why, isGone) ?? false,
  };
  return watch(config, { ...stageContext, trackers, roots: run.watched }).pipe(
    // Of each root by itself: one that is slow, or has much to catch up with, holds up no other.
    groupBy(rootOf),
    mergeMap((ofRoot$) => ofRoot$.pipe(read(readContext))),
    map(outcomes.admit),
    batch(
      {
        size: config.batchSize,
        delay: config.batchDelay * 1000,
        seriesOf: (frame) => frame.series,
        shapeOf: (frame) => `${networkShape(frame)} ${live.reignOf(frame)}`,
        signal,
      },
      byChampion({
        championOf: (frames) => live.championOf(frames.map(({ item }) => item)),
        upcoming$: live.upcoming$,
        working: live.working,
        front:
          ({ set, runner }, isInUse) =>
          (batches$) =>
            batches$.pipe(
              encode({
                isInUse,
                runner,
                memory,
                latentStride: set.latentStride,
                context,
                stride,
                forecastEvery: config.forecastEvery,
                policy: config.policy,
                ...ranges,
                stateBytes: config.stateBytes,
              }),
              predict({
                isInUse,
                runner,
                horizon,
                latentStride: set.latentStride,
                room: { ...room, layers: layersOf(config, set) },
              }),
            ),
        back: ({ set, runner }) =>
          decode({
            runner,
            horizon,
            stride,
            latentStride: set.latentStride,
            forecaster: set.id,
            ...intervalOf(set, config.interval),
            now: stageContext.now,
            clock,
            notice,
            view: preparation.view,
          }),
        discard: letGo,
      }),
    ),
    compose({ judge }),
  );
};

/** A run whose sinks can be changed while it goes on. */
export interface AttachedRun extends Run {
  /**
   * Goes on with other sinks. Those whose settings are the same, by name, do not notice; one that is set otherwise is closed
   * and opened again and gets what waits in its queue. Gives what was done, a line for each sink.
   * @throws UsageError, PluginError, StartupError: then the sinks are as they were
   */
  changeSinks(sinks: AttachConfig['sinks']): Promise<string[]>;
}

/** What a run that goes on with other settings has from before. */
export interface Resumed {
  readonly engines?: EngineKeeper;
  /** Sinks that have worked: one of them that is away just now does not end the run. */
  readonly running?: AttachConfig['sinks'];
}

/**
 * Attaches to a directory: resolves once everything is open and frames begin to flow. Sinks start first, the source
 * last; a stop goes the other way and drains what was read. ARCHITECTURE.md walks through the stages.
 * @throws UsageError, PluginError, StartupError, ForecasterError, StateError: nothing is left open then
 */
export const attach = async (
  config: AttachConfig,
  { engines: lent, running = [] }: Resumed = {},
): Promise<AttachedRun> => {
  const engines = lent ?? engineKeeper();
  const events = new Subject<RunEvent>();
  /** What was said before the caller could listen, while things were opened: told first when frames begin to flow. */
  let unheard: string[] | undefined = [];
  const notice = (message: string): void => {
    if (unheard === undefined) events.next({ type: 'notice', message });
    else unheard.push(message);
  };
  const [intake, hard] = [new AbortController(), new AbortController()];
  const undo = cleanup(notice);
  if (lent === undefined) undo.add(() => engines.dispose());

  try {
    const run = await openRun(config, {
      engines,
      running,
      intake: intake.signal,
      hard: hard.signal,
      notice,
      undo,
    });
    const { ledger, outstanding, sinks, judge, live } = run;
    const outcomes = createOutcomes(run, { events, notice });
    const trackers = new Map<string, SeriesTracker>();
    const credits = createCredits({ items: config.memoryFrames, bytes: config.memoryBytes });
    const forecastCredits = createCredits({ items: Infinity, bytes: config.forecastBytes });
    const { roots, out } = placesOf(config);
    const heartbeat = startHeartbeat(run.state, () => ({
      directories: roots.map(({ directory }) => directory),
      out,
      forecaster: run.forecaster.id,
      memory: { frames: credits.items, bytes: credits.bytes },
      waiting: waitingOf(trackers),
      newest: Object.fromEntries(outcomes.newest),
      sinks: sinks.health(),
    }));
    undo.add(() => heartbeat.end());

    const deliver = <T>(deliveries: (item: T) => readonly Delivery[]) =>
      emit<T>({ queues: () => sinks.queues(), deliveries, signal: hard.signal });
    const deliverScores = deliver(scoreDeliveries);
    const acknowledged$ = observe(config, run, {
      outcomes,
      credits,
      room: { credits: forecastCredits, signal: hard.signal },
      trackers,
      signal: intake.signal,
      notice,
    }).pipe(
      connect((shared$) =>
        zip(
          shared$.pipe(deliver(forecastDelivery)),
          shared$.pipe(verify({ outstanding, judge, changed: live.changed, notice }), deliverScores),
        ),
      ),
      concatMap(([observation, scores]) => outcomes.acknowledge(observation, scores)),
      ignoreElements(),
    );

    let stopping = false;
    const finish = async (): Promise<Summary> => {
      try {
        const early = unheard ?? [];
        unheard = undefined;
        early.forEach(notice);
        if (ledger.notice !== undefined) notice(ledger.notice);
        await lastValueFrom(acknowledged$, { defaultValue: undefined });
        // The series is over (idle, or the frames that were asked for): what still waits for its truth will not get it.
        if (!stopping) {
          const scores = (await outstanding.expireAll('the run ended before its truth came')).map(scoreOf);
          await lastValueFrom(
            of(scores).pipe(
              filter(({ length }) => length > 0),
              deliverScores,
              concatMap(outcomes.settle),
              map(() => undefined),
            ),
            { defaultValue: undefined },
          );
        }
        await sinks.drain();
        await ledger.durable();
        return outcomes.summary();
      } finally {
        intake.abort();
        hard.abort();
        await undo.run();
        events.complete();
      }
    };
    // Begins when the caller has had a chance to subscribe to the events.
    const finished = new Promise((resolve) => setImmediate(resolve)).then(finish);
    finished.catch(() => undefined); // the caller awaits it; until then it is not "unhandled"
    return {
      events$: events.asObservable(),
      stop: () => {
        if (stopping) return;
        stopping = true;
        intake.abort();
        setTimeout(() => hard.abort(), DRAIN).unref();
      },
      finished,
      changeSinks: (wanted) => sinks.change(wanted),
    };
  } catch (error) {
    hard.abort();
    await undo.run();
    throw error;
  }
};
