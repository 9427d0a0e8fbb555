import type { Subject } from 'rxjs';
import type { Live } from '../learning/live.js';
import type { SinkSet } from './delivery/sink-set.js';
import type { Score } from './forecast.js';
import type { Entry, Frame } from './frame.js';
import type { Ledger } from './ledger/ledger.js';
import { counting } from './run-counts.js';
import type { Admitted, Observation, Outcome, RunContext, RunEvent, Summary } from './run.js';
import type { Outstanding } from './state/outstanding.js';
import type { NewestForecast } from './status/heartbeat.js';

/** What becomes of frames and scores: in the ledger, in the counts, and told to whoever listens. */
export interface Outcomes {
  readonly fail: RunContext['fail'];
  /** A frame is in memory from here until its outcome returns its share of the pool. */
  readonly admit: (admitted: Admitted) => Frame;
  /** Sinks have the forecast of the frame and the scores that it completed: the last thing that is done with a frame. */
  acknowledge(observation: Observation, scores: readonly Score[]): Promise<void>;
  /** Sinks have these scores. */
  readonly settle: (scores: readonly Score[]) => Promise<void>;
  /** The newest forecast of each of the series that had one last. */
  readonly newest: ReadonlyMap<string, NewestForecast>;
  summary(): Summary;
}

/** Series in `newest`: over months a run has many that are over, and status is written every two seconds. */
const MOST_NEWEST = 256;

/** Where outcomes are written down, and who has a part in them. */
export interface OutcomesContext {
  readonly ledger: Ledger;
  readonly sinks: Pick<SinkSet, 'counts'>;
  readonly outstanding: Pick<Outstanding, 'settle'>;
  readonly live: Pick<Live, 'observed'>;
}

export const createOutcomes = (
  { ledger, sinks, outstanding, live }: OutcomesContext,
  { events, notice }: { readonly events: Subject<RunEvent>; readonly notice: (message: string) => void },
): Outcomes => {
  const { counts, summary } = counting(ledger, sinks);
  const newest = new Map<string, NewestForecast>();
  const held = new Map<string, () => void>();
  const keyOf = ({ series, index }: { series: string; index: number }): string => `${index}:${series}`;

  const end = ({ series, index }: Entry, outcome: Outcome, reason?: string): void => {
    counts.frames[outcome]++;
    events.next({ type: 'frame', series, index, outcome, ...(reason !== undefined && { reason }) });
  };
  const settle = async (scores: readonly Score[]): Promise<void> => {
    await outstanding.settle(scores.map(({ id }) => id));
    for (const score of scores) {
      counts.scores[score.status]++;
      events.next({ type: 'score', score });
    }
  };
  return {
    newest,
    summary,
    settle,
    fail: (entry, outcome, reason, kind) => {
      ledger.finish(entry, outcome, { reason, ...(kind !== undefined && { kind }) });
      notice(`${entry.path} ${outcome === 'lost' ? 'was lost' : 'is rejected'}: ${reason}`);
      end(entry, outcome, reason);
    },
    admit: ({ frame, release }) => {
      held.set(keyOf(frame), release);
      return frame;
    },
    acknowledge: async (observation, scores) => {
      await settle(scores);
      const { frame, outcome, forecast, release } = observation;
      const { contentHash, position, time } = frame;
      ledger.finish(frame.source, outcome, { contentHash, position, ...(time && { time: time.value }) });
      held.get(keyOf(frame))?.();
      held.delete(keyOf(frame));
      release?.();
      if (forecast !== undefined) {
        counts.forecasts++;
        const { series, index, forecaster, trustedLeads, stride } = forecast;
        newest.delete(series); // the last: it is the newest
        newest.set(series, { index, forecaster, trustedFrames: trustedLeads * stride });
        const [oldest] = newest.keys();
        if (newest.size > MOST_NEWEST && oldest !== undefined) newest.delete(oldest);
        events.next({ type: 'forecast', forecast });
      }
      live.observed(observation);
      end(frame.source, outcome);
    },
  };
};
