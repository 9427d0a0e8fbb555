import { messageOf, SinkError } from '../errors.js';
import type { tellOnce } from '../tell-once.js';
import type { Delivery } from './delivery.js';
import type { KeptDeliveries, KeptDelivery } from './kept-deliveries.js';
import type { QueuedItems } from './queued-items.js';

export interface SpillingOptions {
  /** Of the sink. */
  readonly name: string;
  readonly items: QueuedItems;
  readonly spill: KeptDeliveries;
  readonly refused: KeptDeliveries;
  /** Most bytes in both, at this moment. */
  readonly diskBytes: () => number;
  readonly tell: ReturnType<typeof tellOnce>;
}

/** Puts what a sink cannot take yet on disk, the oldest first, as far as there is room. */
export const createSpilling = ({ name, items, spill, refused, diskBytes, tell }: SpillingOptions) => {
  let spilled = 0;
  /** @throws SinkError, or the system's error, when there is no room for it */
  const keepIn = async (
    folder: KeptDeliveries,
    delivery: Delivery,
    reason: string,
  ): Promise<KeptDelivery> => {
    if (spill.bytes + refused.bytes >= diskBytes())
      throw new SinkError(`what waits on disk for it has reached ${diskBytes()} bytes`);
    return folder.put(delivery, reason);
  };
  const spillNext = async (): Promise<boolean> => {
    const [item] = items.unkept();
    if (item?.delivery === undefined) return true;
    try {
      item.kept = await keepIn(spill, item.delivery, 'the sink was behind');
      tell('spill', () => `sink ${name} is behind: what it cannot take yet waits on disk`);
    } catch (error) {
      tell('full', () => `sink ${name}: ${messageOf(error)}, so the run waits for it`);
      return false;
    }
    spilled++;
    item.delivery = undefined; // on its way it is held by whoever carries it
    // It may have been delivered while it was being written.
    if (item.over) await spill.remove(item.kept).catch(() => undefined);
    item.settle();
    items.change();
    return true;
  };
  let last: Promise<boolean> = Promise.resolve(true);
  /** One after the other. False when there is no room for it. */
  const spillOldest = (): Promise<boolean> => (last = last.then(spillNext));
  return {
    get spilled() {
      return spilled;
    },
    spillOldest,
    /** As far as there is room. */
    spillAll: async (): Promise<void> => {
      while (items.unkept().length > 0 && (await spillOldest()));
    },
    /** For a sink that is no longer there. @throws as `putAside` */
    leaveBehind: async (delivery: Delivery): Promise<void> => {
      await keepIn(spill, delivery, 'the sink was removed');
      spilled++;
    },
    /** What the sink refuses for good. @throws SinkError, or the system's error, when there is no room for it */
    putAside: (delivery: Delivery, reason: string): Promise<KeptDelivery> =>
      keepIn(refused, delivery, reason),
  };
};
