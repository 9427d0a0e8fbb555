import type { DeliveryCounts } from '../run.js';

/** Of a sink in two stretches of a run, one after the other. */
export const addDeliveryCounts = (
  earlier: DeliveryCounts | undefined,
  later: DeliveryCounts,
): DeliveryCounts =>
  earlier === undefined
    ? later
    : {
        ...later, // what is queued and waits is as it is now
        delivered: earlier.delivered + later.delivered,
        retried: earlier.retried + later.retried,
        dropped: earlier.dropped + later.dropped,
        refused: earlier.refused + later.refused,
        spilled: earlier.spilled + later.spilled,
      };
