import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../errors.js';
import { countKept, openKeptDeliveries } from './kept-deliveries.js';
import type { KeptDeliveries } from './kept-deliveries.js';

/** What a sink has on disk, below the state folder: deliveries that wait for it, and those that it refused for good. */
export const openSinkFolder = async (
  state: string,
  sink: string,
): Promise<{ readonly spill: KeptDeliveries; readonly refused: KeptDeliveries }> => ({
  spill: await openKeptDeliveries(join(deliveriesFolder(state), sink, 'waiting')),
  refused: await openKeptDeliveries(join(deliveriesFolder(state), sink, 'refused')),
});

/** How many deliveries lie there. Changes nothing: a run may be using the folder. */
export const countSinkFolder = async (
  state: string,
  sink: string,
): Promise<{ readonly waitingOnDisk: number; readonly refusedOnDisk: number }> => ({
  waitingOnDisk: await countKept(join(deliveriesFolder(state), sink, 'waiting')),
  refusedOnDisk: await countKept(join(deliveriesFolder(state), sink, 'refused')),
});

/** The names of sinks that ever had something there. */
export const sinksWithFiles = async (state: string): Promise<string[]> => {
  try {
    return (await readdir(deliveriesFolder(state))).sort();
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
};

const deliveriesFolder = (state: string): string => join(state, 'deliveries');
