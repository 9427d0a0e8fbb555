import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readSafetensors, writeSafetensors, type Weight } from '../forecaster/safetensors.js';
import type { Named } from '../engine/types.js';
import { writeAtomically } from '../pipeline/atomic.js';
import { codeOf, messageOf, StateError } from '../pipeline/errors.js';
import type { Parameter } from '../pipeline/parameters.js';

/** The best mean skill at the later leads, and how many validations it has stood. */
export interface Progress {
  readonly best: number | null;
  readonly since: number;
}

/** Everything that training goes on from: a step after a checkpoint equals the step that would have followed it. */
export interface Checkpoint {
  /** Steps done. */
  readonly iteration: number;
  /** Settings that must not change between stop and resume, as JSON. */
  readonly settings: string;
  /** What validation has found so far. */
  readonly progress: Progress;
  /** Hashes of what it learns from and of what it is judged by: both may be others when it goes on, and that is told. */
  readonly data?: { readonly training: string; readonly validation: string } | undefined;
  /** Ranges of the scalars that the network is told, as they were measured when it began. */
  readonly parameters?: readonly Parameter[] | undefined;
  /** All slots of all weights. */
  readonly tensors: Named<Weight>;
}

const FILE = 'checkpoint.safetensors';

/** One file, so that numbers and weights cannot be of different times. */
export const saveCheckpoint = async (
  folder: string,
  { iteration, settings, progress, data, parameters, tensors }: Checkpoint,
): Promise<void> => {
  await mkdir(folder, { recursive: true });
  await writeAtomically(
    join(folder, FILE),
    writeSafetensors(tensors, {
      iteration: String(iteration),
      settings,
      progress: JSON.stringify(progress),
      ...(data && { data: JSON.stringify(data) }),
      ...(parameters && { parameters: JSON.stringify(parameters) }),
    }),
    { durable: true },
  );
};

export const removeCheckpoint = (folder: string): Promise<void> => rm(join(folder, FILE), { force: true });

/** The folder's checkpoint, if there is one. @throws StateError for a damaged one */
export const loadCheckpoint = async (folder: string): Promise<Checkpoint | undefined> => {
  let bytes: Buffer;
  try {
    bytes = await readFile(join(folder, FILE));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const { tensors, metadata } = readSafetensors(bytes);
    const iteration = Number(metadata['iteration']);
    if (!Number.isSafeInteger(iteration)) throw new Error('it does not say how many steps were done');
    const progress = JSON.parse(metadata['progress'] ?? '{"best":null,"since":0}') as Progress;
    const data = JSON.parse(metadata['data'] ?? 'null') as Checkpoint['data'] | null;
    const parameters = JSON.parse(metadata['parameters'] ?? 'null') as Checkpoint['parameters'] | null;
    return {
      ...{ iteration, settings: metadata['settings'] ?? '', progress, tensors },
      ...{ data: data ?? undefined, parameters: parameters ?? undefined },
    };
  } catch (cause) {
    throw new StateError(`${join(folder, FILE)} is damaged: ${messageOf(cause)}`, {
      cause,
      hint: 'delete it to train from the beginning',
    });
  }
};
