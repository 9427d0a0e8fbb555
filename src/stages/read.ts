import type { OperatorFunction } from 'rxjs';
import { Observable } from 'rxjs';
import type { Credits } from '../pipeline/intake/credits.js';
import { codeOf, FrameError, hintOf, isOurs, isSystems, messageOf } from '../pipeline/errors.js';
import type { Entry, Field } from '../pipeline/frame.js';
import { describeShape, sameShape, sizeOf } from '../pipeline/frame.js';
import type { Ledger } from '../pipeline/ledger/ledger.js';
import type { Codec } from '../pipeline/plugins/plugin.js';
import { readFrame } from '../pipeline/intake/read-frame.js';
import type { Admitted, GiveBack, Ready, RunContext } from '../pipeline/run.js';
import type { RunParameters } from '../pipeline/intake/run-parameters.js';
import type { FrameTimes } from '../pipeline/intake/frame-times.js';

export interface ReadContext extends RunContext {
  readonly ledger: Ledger;
  readonly credits: Credits;
  /** Default: frames have the times that their files say. */
  readonly timeOf?: FrameTimes;
  /** Scalars of a frame's run; default: none are known. */
  readonly parametersOf?: RunParameters;
  /** The codec for a file name; undefined when none reads it. */
  codecFor(path: string): Codec | undefined;
  /** Default: what the system cannot read is given up. */
  readonly giveBack?: GiveBack;
}

/** Files that are read and decoded at once: on two cores 3 are a fifth slower, 12 no faster. */
const AT_ONCE = 6;
const BYTES_PER_VALUE = 4;

/** With how often frames of its series had been given back when it came. */
interface Queued extends Ready {
  readonly returnsBefore: number;
}

/**
 * Reads, hashes and decodes what is ready, a few files ahead, and emits in the order it came in. Takes a credit before it
 * reads. What the system cannot read, now at least, is given back with all of its series behind it; where it is not taken back,
 * files that went away are lost, and others rejected, as are those that do not decode, hold infinite values or none that is
 * known, or have another shape than their series. Both go to `context.fail`. When `context.signal` aborts, frames that are being read are
 * still emitted; those that wait are dropped without an outcome, so that the next run takes them up.
 */
export const read =
  (context: ReadContext): OperatorFunction<Ready, Admitted> =>
  (source) =>
    new Observable<Admitted>((subscriber) => {
      const unsubscribed = new AbortController();
      const signal = AbortSignal.any([context.signal, unsubscribed.signal]);
      const waiting: Queued[] = [];
      /** How often frames of a series were given back: those that were queued before that go back, too. */
      const returns = new Map<string, number>();
      let active = 0;
      let completed = false;
      let inOrder: Promise<void> = Promise.resolve();

      const admit = async (queued: Queued): Promise<(() => void) | undefined> => {
        const { entry, position } = queued;
        const known = context.ledger.series(entry.series)?.shape;
        const estimate = Math.max(
          entry.item === undefined ? entry.revision.size : 0,
          known === undefined ? 0 : sizeOf(known) * BYTES_PER_VALUE,
        );
        const credit = await context.credits.take(estimate, signal).catch(() => undefined);
        if (credit === undefined) return undefined;
        try {
          const loaded = await readFrame(entry, context.codecFor(entry.path));
          const { time: own, ...values } = loaded.field;
          const time =
            context.timeOf === undefined ? own : await context.timeOf(entry, position, loaded.field);
          const parameters = await context.parametersOf?.(entry);
          return () => {
            if (isGivenBack(queued)) {
              credit.release();
              return;
            }
            try {
              const field = fitted(values, entry, context.ledger);
              credit.resize(field.data.byteLength);
              const { revision, contentHash } = loaded;
              const place = { series: entry.series, index: entry.index, position };
              const known = { ...(time && { time }), ...(parameters && { parameters }) };
              const frame = { ...field, ...place, contentHash, ...known };
              subscriber.next({
                frame: { ...frame, source: { ...entry, revision } },
                release: () => {
                  credit.release();
                },
              });
            } catch (error) {
              credit.release();
              refuse(queued, error);
            }
          };
        } catch (error) {
          credit.release();
          return () => {
            if (!isGivenBack(queued)) refuse(queued, error);
          };
        }
      };
      const returnsOf = (series: string): number => returns.get(series) ?? 0;
      /** One of its series before it was given back, and it with that. */
      const isGivenBack = ({ entry, returnsBefore }: Queued): boolean =>
        returnsBefore < returnsOf(entry.series);
      const refuse = ({ entry }: Queued, error: unknown): void => {
        const isOfSystem = isSystems(error);
        if (isOfSystem && context.signal.aborted) return; // the next run takes it up
        if (
          isOfSystem &&
          context.giveBack?.(entry, systemsReason(error), codeOf(error) === 'ENOENT') === true
        ) {
          returns.set(entry.series, returnsOf(entry.series) + 1);
          return;
        }
        if (codeOf(error) === 'ENOENT') context.fail(entry, 'lost', 'it went away before it was read');
        else context.fail(entry, 'rejected', reasonOf(error));
      };

      const pump = (): void => {
        if (context.signal.aborted) waiting.length = 0;
        while (active < AT_ONCE) {
          const next = waiting.shift();
          if (next === undefined) break;
          if (isGivenBack(next)) continue;
          active++;
          const job = admit(next);
          inOrder = inOrder
            .then(() => job)
            .then((emit) => {
              emit?.();
              active--;
              pump();
            })
            .catch((error: unknown) => {
              subscriber.error(error);
            });
        }
        if (completed && active === 0 && waiting.length === 0) subscriber.complete();
      };
      const subscription = source.subscribe({
        next: (ready) => {
          waiting.push({ ...ready, returnsBefore: returnsOf(ready.entry.series) });
          pump();
        },
        error: (error: unknown) => {
          subscriber.error(error);
        },
        complete: () => {
          completed = true;
          pump();
        },
      });
      return () => {
        unsubscribed.abort();
        waiting.length = 0;
        subscription.unsubscribe();
      };
    });

/** Without the path, which is told besides. */
const systemsReason = (error: unknown): string => messageOf(error).split(',')[0] ?? '';

const reasonOf = (error: unknown): string => {
  if (!isOurs(error)) return `it cannot be read: ${systemsReason(error)}`;
  const hint = hintOf(error);
  return hint === undefined ? error.message : `${error.message}: ${hint}`;
};

/** The field as its series has it; the first one sets what that is. @throws FrameError for another shape or type of samples */
const fitted = (field: Field, entry: Entry, ledger: Ledger): Field => {
  const record = ledger.series(entry.series);
  if (record?.shape === undefined) {
    const { shape, sampleType } = field;
    ledger.putSeries({
      ...(record ?? { series: entry.series, first: entry.index, increment: 0 }),
      shape,
      sampleType,
    });
    return field;
  }
  if (record.sampleType !== undefined && field.sampleType !== record.sampleType)
    throw new FrameError(`its samples are ${field.sampleType}, those of its series ${record.sampleType}`);
  if (sameShape(field.shape, record.shape)) return field;
  throw new FrameError(
    `its shape is ${describeShape(field.shape)}, that of its series ${describeShape(record.shape)} (height x width x channels)`,
  );
};
