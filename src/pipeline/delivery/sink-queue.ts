import { setTimeout as sleep } from 'node:timers/promises';
import type { Delivery, QueuePolicy } from './delivery.js';
import { isRetryable } from './delivery.js';
import { messageOf, SinkError } from '../errors.js';
import { describeDelivery, keyOf } from './forecast-message.js';
import type { KeptDeliveries, KeptDelivery } from './kept-deliveries.js';
import type { DeliveryCounts } from '../run.js';

export interface SinkQueueOptions {
  readonly name: string;
  readonly policy: QueuePolicy;
  /** Deliveries that may wait in memory behind the one under way. */
  readonly limit: number;
  /** Most bytes in `spill` and `refused` together. */
  readonly diskBytes: number;
  readonly deliver: (delivery: Delivery) => Promise<void>;
  /** What waits on disk; what an earlier run left there goes first. */
  readonly spill: KeptDeliveries;
  readonly refused: KeptDeliveries;
  /** Ends everything, retries included. */
  readonly signal: AbortSignal;
  readonly notice: (message: string) => void;
  /** Tries that `drop_oldest` makes with one delivery. */
  readonly tries?: number;
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
  /**
   * Resolves when there is room for it, which `block` waits for. `settled` resolves when the run need not remember it:
   * it was delivered, or is on disk, or (`drop_oldest`) at once.
   */
  offer(delivery: Delivery): Promise<{ readonly settled: Promise<void> }>;
  /**
   * The run is over: resolves when nothing is left to do, or `signal` aborts. What `spill` cannot deliver now is left on
   * disk.
   */
  drain(): Promise<void>;
}

interface Item {
  readonly key: string;
  /** Not set while it is on disk only. */
  delivery: Delivery | undefined;
  kept: KeptDelivery | undefined;
  over: boolean;
  readonly settle: () => void;
}

const pauseFor = (ms: number, signal: AbortSignal): Promise<void> =>
  sleep(ms, undefined, { signal }).catch(() => undefined);

export const createSinkQueue = (options: SinkQueueOptions): SinkQueue => {
  const { name, policy, limit, spill, refused, signal, notice, tries = 3 } = options;
  const { firstDelay = 250, longestDelay = 30_000, random = Math.random, pause = pauseFor } = options;
  const counts = { delivered: 0, retried: 0, dropped: 0, refused: 0, spilled: 0 };
  /** Oldest first; the first is under way. Those on disk come before those in memory. */
  const items: Item[] = spill
    .list()
    .map((kept) => ({ key: kept.key, delivery: undefined, kept, over: false, settle: () => undefined }));
  const draining = new AbortController();
  const told = new Set<string>();
  const tellOnce = (about: string, message: string): void => {
    if (!told.has(about)) notice(message);
    told.add(about);
  };
  const aborted = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  let wake: () => void = () => undefined;
  let changed = new Promise<void>((resolve) => (wake = resolve));
  /** Something left the queue, or was spilled. */
  const change = (): void => {
    wake();
    changed = new Promise((resolve) => (wake = resolve));
  };
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
  const diskIsFull = (): boolean => spill.bytes + refused.bytes >= options.diskBytes;

  /** Puts aside what the sink refuses for good. False when that is not possible: then it has to be tried again. */
  const putAside = async (delivery: Delivery, reason: string): Promise<boolean> => {
    try {
      if (diskIsFull())
        throw new SinkError(`what waits on disk for it has reached ${options.diskBytes} bytes`);
      await refused.put(delivery, reason);
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

  let failing = false;
  /** Until it is delivered, put aside or given up. False when it has to stay where it is. */
  const handle = async (item: Item): Promise<boolean> => {
    let delivery: Delivery;
    try {
      delivery = item.delivery ?? (await spill.read(item.kept!));
    } catch (error) {
      counts.refused++;
      notice(`sink ${name}: ${messageOf(error)}; it cannot be delivered`);
      await spill.setAside(item.kept!);
      item.kept = undefined;
      return true;
    }
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        await options.deliver(delivery);
        counts.delivered++;
        if (failing) notice(`sink ${name} works again`);
        failing = false;
        return true;
      } catch (error) {
        if (signal.aborted) return false;
        const reason = messageOf(error);
        if (!isRetryable(error)) {
          if (await putAside(delivery, reason)) return true;
        } else if (policy === 'drop_oldest') {
          if (failures >= tries) {
            drop(delivery, reason);
            return true;
          }
        } else if (!failing) {
          failing = true;
          notice(`sink ${name}: ${reason}; trying again until it works`);
        }
        counts.retried++;
        if (policy === 'spill') await spillAll();
        if (mayLeave()) return false;
        const growing = Math.min(firstDelay * 2 ** (failures - 1), longestDelay) * (0.5 + 0.5 * random());
        const asked = error instanceof SinkError ? (error.retryAfterMs ?? 0) : 0;
        await pause(Math.max(growing, asked), impatient());
        if (mayLeave()) return false;
      }
    }
    return false;
  };

  let left = false;
  /** At the end of a run nobody waits for a sink that fails, if what it did not get is safe on disk. */
  const mayLeave = (): boolean => {
    const safe = policy === 'spill' && items.every(({ kept }) => kept !== undefined);
    return (left ||= draining.signal.aborted && safe);
  };
  /** Ends a pause when the run is over, once: after that there is nothing to hurry for. */
  const impatient = (): AbortSignal =>
    policy === 'spill' && !draining.signal.aborted ? AbortSignal.any([signal, draining.signal]) : signal;

  let working: Promise<void> | undefined;
  const work = async (): Promise<void> => {
    for (let item = items[0]; item !== undefined && !signal.aborted && !left; item = items[0]) {
      if (!(await handle(item))) continue;
      // Gone from disk before the next begins: a crash in between repeats one delivery at most.
      if (item.kept !== undefined) await spill.remove(item.kept).catch(() => undefined);
      end(item);
    }
  };
  const start = (): void => {
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
      if (diskIsFull())
        throw new SinkError(`what waits on disk for it has reached ${options.diskBytes} bytes`);
      tellOnce('spill', `sink ${name} is behind: what it cannot take yet waits on disk`);
      item.kept = await spill.put(item.delivery, 'the sink was behind');
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

  if (items.length > 0) start();
  return {
    name,
    counts: () => ({ ...counts, waiting: spill.list().length }),
    offer: async (delivery) => {
      const key = keyOf(delivery);
      if (spill.has(key)) return { settled: Promise.resolve() }; // a repeat after a crash: it waits on disk already
      if (policy === 'block')
        while (inMemory().length >= limit && !signal.aborted) await Promise.race([changed, aborted]);
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
        if (failing) await spillAll();
        while (inMemory().length > limit && !signal.aborted)
          if (!(await spillOldest())) await Promise.race([changed, aborted]);
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
  };
};
