import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAtomically } from '../../pipeline/atomic.js';
import { learningFolder } from './log.js';

const fileOf = (state: string): string => join(learningFolder(state), 'rollback');

/** Leaves word for a daemon, running or to be started, to go back to a forecaster. */
export const requestRollback = (state: string, hash: string): Promise<void> =>
  writeAtomically(fileOf(state), Buffer.from(`${hash}\n`));

/** The hash that was asked for. */
export const askedRollback = async (state: string): Promise<string | undefined> =>
  (await readFile(fileOf(state), 'utf8').catch(() => undefined))?.trim();

/** It was done, or cannot be. */
export const forgetRollback = (state: string): Promise<void> => rm(fileOf(state), { force: true });
