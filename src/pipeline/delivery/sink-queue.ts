import type { Delivery, QueuePolicy } from './delivery.js';
import { isRetryable } from './delivery.js';
import { codeOf, isSystems, messageOf } from '../errors.js';
import { describeDelivery, keyOf } from './forecast-message.js';
import { aborting, createHold, pauseFor } from './hold.js';
import type { KeptDeliveries } from './kept-deliveries.js';
import { queuedItems, type Item } from './queued-items.js';
import type { DeliveryCounts } from '../run.js';
import { createSpilling } from './spilling.js';
import { tellOnce } from '../tell-once.js';

/** What a queue can be given anew while it runs. */
export interface QueueSettings {
  readonly policy: QueuePolicy;
  /** Deliveries that may wait in memory behind the one under way. */
  readonly limit: number;
  /** Most bytes in `spill` and `refused` together. */
  readonly diskBytes: number;
  /** Is to end when the signal aborts, and is not waited for after that. */
  readonly deliver: (delivery: Delivery, signal: AbortSignal) => Promise<void>;
}

export interface SinkQueueOptions extends QueueSettings {
  readonly name: string;
  /** What waits on disk; what an earlier run left there goes first. */
  readonly spill: KeptDeliveries;
  readonly refused: KeptDeliveries;
  /** Ends everything, retries included. */
  readonly signal: AbortSignal;
  readonly notice: (message: string) => void;
  /** Tries that `drop_oldest` makes with one delivery. */
  readonly tries?: number;
  /** Tries with a sink that fails when the run is over, before `spill` leaves what is on disk to the next run. */
  readonly lastTries?: number;
  /** Milliseconds that `hold` gives the delivery under way. */
  readonly grace?: number;
  /** Milliseconds before the second try; doubles with every try up to `longestDelay`, times 0.5 to 1. */
  readonly firstDelay?: number;
  readonly longestDelay?: number;
  /** 0..1, for the jitter. */
  readonly random?: () => number;
  /** Waits; resolves early when the signal aborts. */
  readonly pause?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** The deliveries of one sink, in order. Sinks do not wait for each other. */
export interface SinkQueue {
  readonly name: string;
  /** As they are now. */
  counts(): DeliveryCounts;
  /** Why the sink is being tried again, while it is. */
  trouble(): string | undefined;
  /**
   * Resolves when there is room for it, which `block` waits for. `settled` resolves when the run need not remember it:
   * it was delivered, or is on disk, or (`drop_oldest`) at once.
   */
  offer(delivery: Delivery): Promise<{ readonly settled: Promise<void> }>;
  /**
   * The run is over: resolves when nothing is left to do, or `signal` aborts. What `spill` cannot deliver in a few more
   * tries is left on disk.
   */
  drain(): Promise<void>;
  /** The sink is to be replaced: resolves when it has nothing under way, and then gets nothing until `resume`. */
  hold(): Promise<void>;
  /** Goes on with what waits, after `hold`; with other settings if some are given. */
  resume(settings?: QueueSettings): void;
  /** The sink is no longer wanted, after `hold`: what waits stays on disk, or is dropped where that is the policy. */
  leave(): Promise<void>;
}

/** Longest that a receiver which asks for a pause is waited for when the run is over, in milliseconds. */
const LAST_PAUSE = 5_000;

export const createSinkQueue = (options: SinkQueueOptions): SinkQueue => {
  const { name, spill, refused, signal, notice, tries = 3, lastTries = 5, grace = 5_000 } = options;
  let { policy, limit, diskBytes, deliver }: QueueSettings = options;
  const { firstDelay = 250, longestDelay = 30_000, random = Math.random, pause = pauseFor } = options;
  const counts = { delivered: 0, retried: 0, dropped: 0, refused: 0 };
  const items = queuedItems(spill.list());
  const tell = tellOnce(notice);
  const spilling = createSpilling({ name, items, spill, refused, diskBytes: () => diskBytes, tell });
  const draining = new AbortController();
  const hold = createHold(signal, draining.signal, grace);
  const aborted = aborting(signal);
  // Not a race with the signal: each would leave something behind on it for as long as the run lasts.
  signal.addEventListener('abort', items.change, { once: true });
  const drop = (delivery: Delivery, reason: string): void => {
    counts.dropped++;
    tell(
      'drop',
      () => `sink ${name} missed a ${describeDelivery(delivery)}: ${reason}; later ones are only counted`,
    );
  };

  /** Puts aside what the sink refuses for good. False when that is not possible: then it has to be tried again. */
  const putAside = async (delivery: Delivery, reason: string): Promise<boolean> => {
    try {
      await spilling.putAside(delivery, reason);
    } catch (error) {
      tell('full', () => `sink ${name}: ${messageOf(error)}, so nothing more is put aside`);
      if (policy !== 'drop_oldest') return false;
      drop(delivery, reason);
      return true;
    }
    counts.refused++;
    tell(
      'refused',
      () =>
        `sink ${name} refused a ${describeDelivery(delivery)}: ${reason}; it is put aside (see mesocast replay), later ones are only counted`,
    );
    return true;
  };

  /** Why it fails. */
  let trouble: string | undefined;
  const fails = (reason: string, until: string): void => {
    if (trouble === undefined) notice(`sink ${name}: ${reason}; trying again until it ${until}`);
    trouble = reason;
  };
  /** What to do with a delivery that failed so many times: nothing more, as it was put aside or given up, or another try. */
  const decide = async (delivery: Delivery, error: unknown, failures: number): Promise<'done' | 'again'> => {
    const reason = messageOf(error);
    if (!isRetryable(error)) return (await putAside(delivery, reason)) ? 'done' : 'again';
    if (policy !== 'drop_oldest') fails(reason, 'works');
    else if (failures >= tries) {
      drop(delivery, reason);
      return 'done';
    }
    return 'again';
  };

  /** Tries that failed, one after the other, since the run is over. */
  let lateFailures = 0;
  let left = false;
  /** At the end of a run nobody waits long for a sink that fails, if what it did not get is safe on disk. */
  const mayLeave = (asked: number): boolean => {
    const safe = policy === 'spill' && items.unkept().length === 0;
    const tried = draining.signal.aborted && (lateFailures >= lastTries || asked > LAST_PAUSE);
    return (left ||= tried && safe);
  };
  /** Ends a pause when the run is over, once, so that it is tried again; and when the queue is held. */
  const impatient = (): AbortSignal => hold.pausing(policy === 'spill' && !draining.signal.aborted);
  /** Waits until the next try. False when there is to be none: the queue is held, or what waits is left on disk. */
  const nextTry = async (failures: number, asked = 0): Promise<boolean> => {
    if (draining.signal.aborted) lateFailures++;
    if (policy === 'spill') await spilling.spillAll();
    if (mayLeave(asked) || hold.isOn) return false;
    const doublings = (policy === 'spill' && draining.signal.aborted ? lateFailures : failures) - 1;
    const growing = Math.min(firstDelay * 2 ** doublings, longestDelay) * (0.5 + 0.5 * random());
    await pause(Math.max(growing, asked), impatient());
    return !hold.isOn;
  };
  /** Until it is delivered, put aside or given up. False when it has to stay where it is. */
  const handle = async (item: Item): Promise<boolean> => {
    let delivery: Delivery;
    try {
      delivery = item.delivery ?? (await spill.read(item.kept!));
    } catch (error) {
      // What the system says of a file that is there says nothing of what is in it.
      if (isSystems(error) && codeOf(error) !== 'ENOENT') {
        fails(messageOf(error), 'can be read');
        await nextTry(Infinity);
        return false;
      }
      counts.refused++;
      notice(`sink ${name}: ${messageOf(error)}; it cannot be delivered, and stays on disk as .damaged`);
      await spill.setAside(item.kept!);
      item.kept = undefined;
      return true;
    }
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        await hold.attempt((trying) => deliver(delivery, trying));
        counts.delivered++;
        if (trouble !== undefined) notice(`sink ${name} works again`);
        trouble = undefined;
        lateFailures = 0;
        return true;
      } catch (error) {
        if (signal.aborted || hold.interrupts) return false;
        if ((await decide(delivery, error, failures)) === 'done') return true;
        counts.retried++;
        const asked = Number(Reflect.get(Object(error) as object, 'retryAfterMs')) || 0;
        if (!(await nextTry(failures, asked))) return false;
      }
    }
    return false;
  };

  let working: Promise<void> | undefined;
  const work = async (): Promise<void> => {
    const next = (): Item | undefined => (signal.aborted || hold.isOn || left ? undefined : items.all[0]);
    for (let item = next(); item !== undefined; item = next()) {
      if (!(await handle(item))) continue;
      // Gone from disk before the next begins: a crash in between repeats one delivery at most.
      if (item.kept !== undefined) await spill.remove(item.kept).catch(() => undefined);
      items.end(item);
    }
  };
  const start = (): void => {
    if (hold.isOn) return;
    working ??= work().finally(() => {
      working = undefined;
      if (items.all.length > 0 && !signal.aborted && !left) start();
    });
  };

  let leaving: Promise<void> | undefined;
  const leave = async (): Promise<void> => {
    if (policy !== 'drop_oldest') await spilling.spillAll();
    for (const item of [...items.all]) {
      if (item.delivery !== undefined && item.kept === undefined) drop(item.delivery, 'it was removed');
      items.end(item);
    }
    const rest = spill.list().length;
    if (rest > 0) notice(`sink ${name}: ${rest} deliveries stay on disk until it is among the sinks again`);
  };
  /** What waited for room in the queue of a sink that was removed meanwhile. */
  const leaveBehind = async (delivery: Delivery): Promise<void> => {
    await leaving;
    await spilling.leaveBehind(delivery).catch((error: unknown) => drop(delivery, messageOf(error)));
  };
  if (items.all.length > 0) start();
  return {
    name,
    counts: () => ({
      ...counts,
      spilled: spilling.spilled,
      queued: items.unkept().length,
      waiting: spill.list().length,
    }),
    trouble: () => trouble,
    offer: async (delivery) => {
      if (spill.has(keyOf(delivery))) return { settled: Promise.resolve() }; // a repeat after a crash: it waits on disk already
      const isOver = (): boolean => signal.aborted || leaving !== undefined;
      if (leaving !== undefined) return { settled: Promise.resolve() };
      while (policy === 'block' && items.inMemory().length >= limit && !isOver()) await items.changed;
      if (leaving !== undefined) {
        await leaveBehind(delivery);
        return { settled: Promise.resolve() };
      }
      const settled = items.add(delivery);
      start();
      if (policy === 'drop_oldest') {
        while (items.inMemory().length > limit) {
          const oldest = items.inMemory()[0]!;
          if (oldest.delivery) drop(oldest.delivery, `it is ${limit} deliveries behind`);
          items.end(oldest);
        }
        return { settled: Promise.resolve() };
      }
      if (policy === 'spill') {
        if (trouble !== undefined) await spilling.spillAll();
        while (items.inMemory().length > limit && !signal.aborted)
          if (!(await spilling.spillOldest())) await items.changed;
      }
      return { settled };
    },
    drain: async () => {
      draining.abort();
      while (working !== undefined && !signal.aborted) await Promise.race([working, aborted]);
      // Their frames are done with: they do not come again.
      if (policy === 'drop_oldest')
        for (const item of [...items.unkept()]) {
          if (item.delivery) drop(item.delivery, 'the run ended before');
          items.end(item);
        }
      const rest = spill.list().length;
      if (rest > 0)
        notice(
          `sink ${name}: ${rest} deliveries wait on disk; the next run, or mesocast replay, delivers them`,
        );
    },
    hold: () => hold.begin(working),
    resume: (settings) => {
      if (settings !== undefined) ({ policy, limit, diskBytes, deliver } = settings);
      hold.end();
      items.change();
      if (items.all.length > 0) start();
    },
    leave: () => (leaving ??= leave()),
  };
};
