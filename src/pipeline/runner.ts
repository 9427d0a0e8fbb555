import { join } from 'node:path';
import {
  concatMap,
  connect,
  filter,
  ignoreElements,
  lastValueFrom,
  map,
  of,
  Subject,
  zip,
  type Observable,
} from 'rxjs';
import { byChampion } from '../learning/champion/by-champion.js';
import { createJudge } from '../learning/judging/judge.js';
import { openLive } from '../learning/live.js';
import { batch } from '../stages/batch.js';
import { compose } from '../stages/compose.js';
import { decode } from '../stages/decode.js';
import { emit } from '../stages/emit.js';
import { encode, networkShape, type SeriesMemory } from '../stages/encode.js';
import { predict } from '../stages/predict.js';
import { read, type Admitted } from '../stages/read.js';
import { verify } from '../stages/verify.js';
import { watch } from '../stages/watch.js';
import { intervalOf } from '../uncertainty/forecaster-set.js';
import { cleanup } from './cleanup.js';
import type { AttachConfig } from './config/config.js';
import { createCredits } from './intake/credits.js';
import type { Delivery } from './delivery/delivery.js';
import { openSinkSet } from './delivery/sink-set.js';
import { engineKeeper, type EngineKeeper } from './engine-keeper.js';
import { StateError } from './errors.js';
import type { Score } from './forecast.js';
import type { Entry, Frame } from './frame.js';
import { frameTimes } from './intake/frame-times.js';
import { runParameters } from './intake/run-parameters.js';
import { createRoots } from './intake/open-roots.js';
import { placesOf, prepareRun } from './prepare-run.js';
import { openLedger, type Ledger } from './ledger/ledger.js';
import { openOutstanding, scoreOf } from './state/outstanding.js';
import { createRecall } from './state/recall.js';
import { createSeriesClock, ticksBefore } from './state/series-clock.js';
import { createSeriesMemory } from './state/series-memory.js';
import { counting } from './run-counts.js';
import type { Observation, Outcome, Run, RunContext, RunEvent, Summary } from './run.js';
import type { SeriesTracker, Waiting } from './intake/series-tracker.js';
import { startHeartbeat, type NewestForecast } from './status/heartbeat.js';
import { openStateFolder } from './state/state-folder.js';

/** Milliseconds that a stop may take before what still waits for a sink is left to the next run. */
const DRAIN = 20_000;

const scoreDeliveries = (scores: readonly Score[]): Delivery[] =>
  scores.map((score) => ({ type: 'score', score }));

/** What a state knows of frames holds for frames seen the same way. @throws StateError */
const requireSameView = (ledger: Ledger, description: string, path: string): void => {
  const before = ledger.note('preparation');
  if (typeof before === 'string' && before !== description)
    throw new StateError(`the state in ${path} is of ${before}, this run is of ${description}`, {
      hint: 'begin anew with another --state folder',
    });
  ledger.putNote('preparation', description);
};

const waitingOf = (trackers: ReadonlyMap<string, SeriesTracker>): Record<string, Waiting> =>
  Object.fromEntries(
    [...trackers].flatMap(([series, tracker]) => {
      const waiting = tracker.firstWaiting();
      return waiting === undefined ? [] : [[series, waiting] as const];
    }),
  );

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
 * @throws UsageError, StartupError, ForecasterError, StateError: nothing is left open then
 */
export const attach = async (
  config: AttachConfig,
  { engines: lent, running = [] }: Resumed = {},
): Promise<AttachedRun> => {
  const [engines, own] = [lent ?? engineKeeper(), lent === undefined];
  const { roots, out, statePath } = placesOf(config);
  const events = new Subject<RunEvent>();
  /** What was said before the caller could listen, while things were opened: told first when frames begin to flow. */
  let unheard: string[] | undefined = [];
  const notice = (message: string): void => {
    if (unheard === undefined) events.next({ type: 'notice', message });
    else unheard.push(message);
  };
  const [intake, hard] = [new AbortController(), new AbortController()];
  const undo = cleanup(notice);

  try {
    // What can be wrong with the settings is found before anything is written.
    const { settled, forecaster, ranges, told, preparation, codecs, createdSinks } = await prepareRun(
      config,
      notice,
      running,
    );
    const codecFor = codecs.for;
    const engine = await engines.open(config.device, config.threads, notice);
    if (own) undo.add(() => engines.dispose());
    const state = openStateFolder(statePath);
    undo.add(() => state.release());
    const ledger = openLedger(state.path, { keep: config.keepLedger });
    undo.add(() => ledger.close());
    requireSameView(ledger, preparation.description, state.path);
    const outstanding = await openOutstanding({
      directory: join(state.path, 'outstanding'),
      quotaBytes: config.outstandingBytes,
      store: ledger.forecasts,
    });
    const sinks = await openSinkSet(createdSinks, { out, state: state.path, signal: hard.signal, notice });
    undo.add(() => sinks.close());
    const watched = await createRoots({
      roots,
      start: config.start,
      outputs: [out, statePath],
      codecs,
      ledger,
      notice,
    });
    for (const { source } of watched) {
      undo.add(() => source.close());
      await source.open(intake.signal);
    }

    const { counts, summary } = counting(ledger, sinks);
    const trackers = new Map<string, SeriesTracker>();
    const credits = createCredits({ items: config.memoryFrames, bytes: config.memoryBytes });
    const { context, horizon, stride } = config;
    const judge = createJudge({ ...settled, store: ledger.verified });
    const live = await openLive({
      config: settled,
      state: state.path,
      ledger,
      engine,
      judge,
      first: forecaster,
      notice,
      now: () => new Date(),
    });
    undo.add(() => live.close());
    const newest = new Map<string, NewestForecast>();
    const heartbeat = startHeartbeat(state.path, () => ({
      directories: roots.map(({ directory }) => directory),
      out,
      forecaster: forecaster.id,
      memory: { frames: credits.items, bytes: credits.bytes },
      waiting: waitingOf(trackers),
      newest: Object.fromEntries(newest),
      sinks: sinks.health(),
    }));
    undo.add(() => heartbeat.end());

    const end = (entry: Entry, outcome: Outcome, reason?: string): void => {
      counts.frames[outcome]++;
      events.next({
        type: 'frame',
        series: entry.series,
        index: entry.index,
        outcome,
        ...(reason !== undefined && { reason }),
      });
    };
    const fail: RunContext['fail'] = (entry, outcome, reason, kind) => {
      ledger.finish(entry, outcome, { reason, ...(kind !== undefined && { kind }) });
      notice(`${entry.path} ${outcome === 'lost' ? 'was lost' : 'is rejected'}: ${reason}`);
      end(entry, outcome, reason);
    };
    const stageContext = { signal: intake.signal, fail, notice, now: () => new Date(), ledger };

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

    /** Frames in memory, by their key, until their outcome returns their share of the pool. */
    const held = new Map<string, () => void>();
    const keyOf = ({ series, index }: { series: string; index: number }): string => `${index}:${series}`;
    const admit = ({ frame, release }: Admitted): Frame => {
      held.set(keyOf(frame), release);
      return frame;
    };

    const deliver = <T>(deliveries: (item: T) => readonly Delivery[]) =>
      emit<T>({ queues: () => sinks.queues(), deliveries, signal: hard.signal });
    const deliverScores = deliver(scoreDeliveries);
    const settle = async (scores: readonly Score[]): Promise<void> => {
      await outstanding.settle(scores.map(({ id }) => id));
      for (const score of scores) {
        counts.scores[score.status]++;
        events.next({ type: 'score', score });
      }
    };
    const acknowledge = async (observation: Observation, scores: readonly Score[]): Promise<void> => {
      await settle(scores);
      const { frame, outcome, forecast } = observation;
      const { contentHash, position, time } = frame;
      ledger.finish(frame.source, outcome, { contentHash, position, ...(time && { time: time.value }) });
      held.get(keyOf(frame))?.();
      held.delete(keyOf(frame));
      if (forecast !== undefined) {
        counts.forecasts++;
        const { series, index, forecaster, trustedLeads, stride } = forecast;
        newest.set(series, { index, forecaster, trustedFrames: trustedLeads * stride });
        events.next({ type: 'forecast', forecast });
      }
      live.observed(observation);
      end(frame.source, outcome);
    };

    const observations$: Observable<Observation> = watch(config, {
      ...stageContext,
      trackers,
      roots: watched,
    }).pipe(
      read(
        {},
        {
          ...stageContext,
          credits,
          codecFor,
          timeOf: frameTimes(config.frameInterval),
          parametersOf: runParameters({ ...told, notice }),
        },
      ),
      map(admit),
      batch(
        {
          size: config.batchSize,
          delay: config.batchDelay * 1000,
          seriesOf: (frame) => frame.series,
          shapeOf: (frame) => `${networkShape(frame)} ${live.reignOf(frame)}`,
          signal: intake.signal,
        },
        byChampion({
          championOf: (frames) => live.championOf(frames.map(({ item }) => item)),
          stages:
            ({ set, runner }) =>
            (batches$) =>
              batches$.pipe(
                encode({
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
                predict({ runner, horizon, latentStride: set.latentStride }),
                decode({
                  engine,
                  horizon,
                  stride,
                  latentStride: set.latentStride,
                  forecaster: set.id,
                  members: set.members,
                  ...intervalOf(set, config.interval),
                  now: stageContext.now,
                  clock,
                  view: preparation.view,
                }),
              ),
        }),
      ),
      compose({ judge }),
    );
    const acknowledged$ = observations$.pipe(
      connect((shared$) =>
        zip(
          shared$.pipe(
            deliver(({ forecast }) => (forecast === undefined ? [] : [{ type: 'forecast', forecast }])),
          ),
          shared$.pipe(verify({ outstanding, judge, changed: live.changed, notice }), deliverScores),
        ),
      ),
      concatMap(([observation, scores]) => acknowledge(observation, scores)),
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
              concatMap(settle),
              map(() => undefined),
            ),
            { defaultValue: undefined },
          );
        }
        await sinks.drain();
        await ledger.durable();
        return summary();
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
