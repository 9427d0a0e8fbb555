import type { Delivery } from './delivery.js';
import type { KeptDelivery } from './kept-deliveries.js';

export interface Item {
  /** Not set while it is on disk only. */
  delivery: Delivery | undefined;
  kept: KeptDelivery | undefined;
  over: boolean;
  readonly settle: () => void;
}

/** What waits for a sink, oldest first. The first is under way; those on disk come before those in memory. */
export interface QueuedItems {
  readonly all: readonly Item[];
  /** Those that are not on disk. */
  unkept(): readonly Item[];
  /** Those of them that wait, the one under way not counted. */
  inMemory(): readonly Item[];
  /** Resolves when the run need not remember it. */
  add(delivery: Delivery): Promise<void>;
  /** It is done with, whatever became of it. */
  end(item: Item): void;
  /** Something left the queue, or is on disk now, or all is over. */
  readonly change: () => void;
  /** Resolves at the next change. */
  readonly changed: Promise<void>;
}

/** @param left what an earlier run left on disk */
export const queuedItems = (left: readonly KeptDelivery[]): QueuedItems => {
  const all: Item[] = left.map((kept) => ({
    delivery: undefined,
    kept,
    over: false,
    settle: () => undefined,
  }));
  let wake: () => void = () => undefined;
  let changed = new Promise<void>((resolve) => (wake = resolve));
  const change = (): void => {
    wake();
    changed = new Promise((resolve) => (wake = resolve));
  };
  const isUnkept = ({ kept }: Item): boolean => kept === undefined;
  return {
    all,
    unkept: () => all.filter(isUnkept),
    inMemory: () => all.slice(1).filter(isUnkept),
    add: (delivery) =>
      new Promise((settle) => {
        all.push({ delivery, kept: undefined, over: false, settle });
      }),
    end: (item) => {
      item.over = true;
      all.splice(all.indexOf(item), 1);
      item.settle();
      change();
    },
    change,
    get changed() {
      return changed;
    },
  };
};
