import type { Delivery, QueuePolicy } from './delivery.js';
import { isRetryable } from './delivery.js';
import { codeOf, messageOf, SinkError } from '../errors.js';
import { describeDelivery, keyOf } from './forecast-message.js';
import { aborting, createHold, pauseFor } from './hold.js';
import type { KeptDeliveries, KeptDelivery } from './kept-deliveries.js';
import type { DeliveryCounts } from '../run.js';

/** System errors of reading that say nothing of the file: they may pass. */
const MAY_PASS: ReadonlySet<string> = new Set([
  'EMFILE',
  'ENFILE',
  'ENOMEM',
  'EAGAIN',
  'EBUSY',
  'EIO',
  'ESTALE',
  'EACCES',
]);

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

interface Item {
  readonly key: string;
  /** Not set while it is on disk only. */
  delivery: Delivery | undefined;
  kept: KeptDelivery | undefined;
  over: boolean;
  readonly settle: () => void;
}

/** Longest that a receiver which asks for a pause is waited for when the run is over, in milliseconds. */
const LAST_PAUSE = 5_000;

export const createSinkQueue = (options: SinkQueueOptions): SinkQueue => {
  const { name, spill, refused, signal, notice, tries = 3, lastTries = 5, grace = 5_000 } = options;
  let { policy, limit, diskBytes, deliver }: QueueSettings = options;
  const { firstDelay = 250, longestDelay = 30_000, random = Math.random, pause = pauseFor } = options;
  const counts = { delivered: 0, retried: 0, dropped: 0, refused: 0, spilled: 0 };
  /** Oldest first; the first is under way. Those on disk come before those in memory. */
  const items: Item[] = spill
    .list()
    .map((kept) => ({ key: kept.key, delivery: undefined, kept, over: false, settle: () => undefined }));
  const draining = new AbortController();
  const hold = createHold(signal, draining.signal, grace);
  const told = new Set<string>();
  const tellOnce = (about: string, message: string): void => {
    if (!told.has(about)) notice(message);
    told.add(about);
  };
  const aborted = aborting(signal);
  let wake: () => void = () => undefined;
  let changed = new Promise<void>((resolve) => (wake = resolve));
  /** Something left the queue, or was spilled. */
  const change = (): void => {
    wake();
    changed = new Promise((resolve) => (wake = resolve));
  };
  // Not a race with the signal: each would leave something behind on it for as long as the run lasts.
  signal.addEventListener('abort', change, { once: true });
  const end = (item: Item): void => {
    item.over = true;
    items.splice(items.indexOf(item), 1);
    item.settle();
    change();
  };
  const drop = (delivery: Delivery, reason: string): void => {
    counts.dropped++;
    tellOnce(
      'drop',
      `sink ${name} missed a ${describeDelivery(delivery)}: ${reason}; later ones are only counted`,
    );
  };
  /** @throws SinkError, or the system's error, when there is no room for it */
  const keepIn = async (
    folder: KeptDeliveries,
    delivery: Delivery,
    reason: string,
  ): Promise<KeptDelivery> => {
    if (spill.bytes + refused.bytes >= diskBytes)
      throw new SinkError(`what waits on disk for it has reached ${diskBytes} bytes`);
    return folder.put(delivery, reason);
  };

  /** Puts aside what the sink refuses for good. False when that is not possible: then it has to be tried again. */
  const putAside = async (delivery: Delivery, reason: string): Promise<boolean> => {
    try {
      await keepIn(refused, delivery, reason);
    } catch (error) {
      tellOnce('full', `sink ${name}: ${messageOf(error)}, so nothing more is put aside`);
      if (policy !== 'drop_oldest') return false;
      drop(delivery, reason);
      return true;
    }
    counts.refused++;
    tellOnce(
      'refused',
      `sink ${name} refused a ${describeDelivery(delivery)}: ${reason}; it is put aside (see mesocast replay), later ones are only counted`,
    );
    return true;
  };

  /** Why it fails. */
  let trouble: string | undefined;
  /** Tries that failed, one after the other, since the run is over. */
  let lateFailures = 0;
  /** Until it is delivered, put aside or given up. False when it has to stay where it is. */
  const handle = async (item: Item): Promise<boolean> => {
    let delivery: Delivery;
    try {
      delivery = item.delivery ?? (await spill.read(item.kept!));
    } catch (error) {
      if (MAY_PASS.has(codeOf(error) ?? '')) {
        tellOnce('unread', `sink ${name}: ${messageOf(error)}; trying again until it can be read`);
        await pause(longestDelay, impatient());
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
        const reason = messageOf(error);
        if (!isRetryable(error)) {
          if (await putAside(delivery, reason)) return true;
        } else if (policy === 'drop_oldest') {
          if (failures >= tries) {
            drop(delivery, reason);
            return true;
          }
        } else {
          if (trouble === undefined) notice(`sink ${name}: ${reason}; trying again until it works`);
          trouble = reason;
        }
        counts.retried++;
        if (draining.signal.aborted) lateFailures++;
        if (policy === 'spill') await spillAll();
        const asked = error instanceof SinkError ? (error.retryAfterMs ?? 0) : 0;
        if (mayLeave(asked) || hold.isOn) return false;
        const doublings = (policy === 'spill' && draining.signal.aborted ? lateFailures : failures) - 1;
        const growing = Math.min(firstDelay * 2 ** doublings, longestDelay) * (0.5 + 0.5 * random());
        await pause(Math.max(growing, asked), impatient());
        if (hold.isOn) return false;
      }
    }
    return false;
  };

  let left = false;
  /** At the end of a run nobody waits long for a sink that fails, if what it did not get is safe on disk. */
  const mayLeave = (asked: number): boolean => {
    const safe = policy === 'spill' && items.every(({ kept }) => kept !== undefined);
    const tried = draining.signal.aborted && (lateFailures >= lastTries || asked > LAST_PAUSE);
    return (left ||= tried && safe);
  };
  /** Ends a pause when the run is over, once, so that it is tried again; and when the queue is held. */
  const impatient = (): AbortSignal => hold.pausing(policy === 'spill' && !draining.signal.aborted);

  let working: Promise<void> | undefined;
  const work = async (): Promise<void> => {
    for (let item = items[0]; item !== undefined && !signal.aborted && !hold.isOn && !left; item = items[0]) {
      if (!(await handle(item))) continue;
      // Gone from disk before the next begins: a crash in between repeats one delivery at most.
      if (item.kept !== undefined) await spill.remove(item.kept).catch(() => undefined);
      end(item);
    }
  };
  const start = (): void => {
    if (hold.isOn) return;
    working ??= work().finally(() => {
      working = undefined;
      if (items.length > 0 && !signal.aborted && !left) start();
    });
  };

  let lastSpill: Promise<boolean> = Promise.resolve(true);
  const spillNext = async (): Promise<boolean> => {
    const item = items.find(({ kept }) => kept === undefined);
    if (item?.delivery === undefined) return true;
    try {
      item.kept = await keepIn(spill, item.delivery, 'the sink was behind');
      tellOnce('spill', `sink ${name} is behind: what it cannot take yet waits on disk`);
    } catch (error) {
      tellOnce('full', `sink ${name}: ${messageOf(error)}, so the run waits for it`);
      return false;
    }
    counts.spilled++;
    item.delivery = undefined; // on its way it is held by whoever carries it
    // It may have been delivered while it was being written.
    if (item.over) await spill.remove(item.kept).catch(() => undefined);
    item.settle();
    change();
    return true;
  };
  const spillOldest = (): Promise<boolean> => (lastSpill = lastSpill.then(spillNext));
  const spillAll = async (): Promise<void> => {
    while (items.some(({ kept }) => kept === undefined) && (await spillOldest()));
  };

  /** Items that wait in memory, the one under way not counted. */
  const inMemory = (): Item[] => items.slice(1).filter(({ kept }) => kept === undefined);

  let leaving: Promise<void> | undefined;
  const leave = async (): Promise<void> => {
    if (policy !== 'drop_oldest') await spillAll();
    for (const item of [...items]) {
      if (item.delivery !== undefined && item.kept === undefined) drop(item.delivery, 'it was removed');
      end(item);
    }
    const rest = spill.list().length;
    if (rest > 0) notice(`sink ${name}: ${rest} deliveries stay on disk until it is among the sinks again`);
  };
  /** What waited for room in the queue of a sink that was removed meanwhile. */
  const leaveBehind = async (delivery: Delivery): Promise<void> => {
    await leaving;
    try {
      await keepIn(spill, delivery, 'the sink was removed');
      counts.spilled++;
    } catch (error) {
      drop(delivery, messageOf(error));
    }
  };
  if (items.length > 0) start();
  return {
    name,
    counts: () => ({
      ...counts,
      queued: items.filter(({ kept }) => kept === undefined).length,
      waiting: spill.list().length,
    }),
    trouble: () => trouble,
    offer: async (delivery) => {
      const key = keyOf(delivery);
      if (spill.has(key)) return { settled: Promise.resolve() }; // a repeat after a crash: it waits on disk already
      const isOver = (): boolean => signal.aborted || leaving !== undefined;
      if (leaving !== undefined) return { settled: Promise.resolve() };
      while (policy === 'block' && inMemory().length >= limit && !isOver()) await changed;
      if (leaving !== undefined) {
        await leaveBehind(delivery);
        return { settled: Promise.resolve() };
      }
      let settle = (): void => undefined;
      const settled = new Promise<void>((resolve) => (settle = resolve));
      items.push({ key, delivery, kept: undefined, over: false, settle });
      start();
      if (policy === 'drop_oldest') {
        while (inMemory().length > limit) {
          const oldest = inMemory()[0]!;
          if (oldest.delivery) drop(oldest.delivery, `it is ${limit} deliveries behind`);
          end(oldest);
        }
        return { settled: Promise.resolve() };
      }
      if (policy === 'spill') {
        if (trouble !== undefined) await spillAll();
        while (inMemory().length > limit && !signal.aborted) if (!(await spillOldest())) await changed;
      }
      return { settled };
    },
    drain: async () => {
      draining.abort();
      while (working !== undefined && !signal.aborted) await Promise.race([working, aborted]);
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
      change();
      if (items.length > 0) start();
    },
    leave: () => (leaving ??= leave()),
  };
};
