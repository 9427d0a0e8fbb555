import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Named } from '../engine/types.js';
import { codeOf, ForecasterError, MesocastError, messageOf } from '../pipeline/errors.js';
import { writeAtomically } from '../pipeline/atomic.js';
import { explain } from '../pipeline/config/options.js';
import { buildNetwork, settingsSchema, withWeights, type Forecaster } from './forecaster.js';
import { networkParams } from './network-functions.js';
import { readSafetensors, writeSafetensors, type Weight } from './safetensors.js';

/** What makes a folder a forecaster's, or that of several under one name. */
export const SETTINGS = 'forecaster.json';
export const ENSEMBLE = 'ensemble.json';
const WEIGHTS = 'weights.safetensors';

/** Forecasters that ship with the package, beside dist/. */
const SHIPPED = fileURLToPath(new URL('../../../forecasters/', import.meta.url));

/** Names of the forecasters that ship with mesocast. */
export const shippedForecasters = async (): Promise<string[]> => {
  const entries = await readdir(SHIPPED, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
};

const isFolder = async (path: string): Promise<boolean> =>
  (await stat(path).catch(() => undefined))?.isDirectory() ?? false;

/** The folder of one that ships, whatever the working directory has of that name. */
export const shippedFolder = (name: string): string => join(SHIPPED, name);

/**
 * The folder of a forecaster given by path, or by the name of one that ships. A folder of such a name hides it only if it
 * holds a forecaster: `dendrite` may as well have frames.
 */
export const locateForecaster = async (where: string): Promise<string> => {
  const shipped = await shippedForecasters();
  const isName = shipped.includes(where);
  const isMeant = isName
    ? [SETTINGS, ENSEMBLE].some((file) => existsSync(join(where, file)))
    : await isFolder(where);
  if (isMeant) return resolve(where);
  if (isName) return shippedFolder(where);
  throw new ForecasterError(`there is no forecaster "${where}"`, {
    hint: `give a folder that \`mesocast train\` made, or one of those that ship: ${shipped.join(', ')}`,
  });
};

const read = async (folder: string, file: string): Promise<Buffer> => {
  try {
    return await readFile(join(folder, file));
  } catch (cause) {
    const what = codeOf(cause) === 'ENOENT' ? 'is missing' : `cannot be read: ${messageOf(cause)}`;
    throw new ForecasterError(`forecaster folder ${folder}: ${file} ${what}`, {
      cause,
      hint: 'make a new one with `mesocast train`',
    });
  }
};

/**
 * Loads a forecaster from its folder (forecaster.json and weights.safetensors), or by the name of one that ships.
 * @throws ForecasterError saying which file is missing or damaged, and how
 */
export const loadForecaster = async (where: string): Promise<Forecaster> => {
  const folder = await locateForecaster(where);
  const text = (await read(folder, SETTINGS)).toString('utf8');
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new ForecasterError(`forecaster folder ${folder}: ${SETTINGS} is not JSON: ${messageOf(cause)}`, {
      cause,
    });
  }
  const settings = settingsSchema.safeParse(json);
  if (!settings.success) {
    throw new ForecasterError(
      `forecaster folder ${folder}: ${SETTINGS}: ${explain(settings.error.issues, settingsSchema, json).join('; ')}`,
    );
  }
  const named = (cause: unknown, hint?: string): ForecasterError =>
    new ForecasterError(`forecaster folder ${folder}: ${messageOf(cause)}`, {
      cause,
      ...(hint !== undefined && { hint }),
    });
  const network = await buildNetwork(settings.data, folder).catch((cause: unknown) => {
    throw named(cause, cause instanceof MesocastError ? cause.hint : undefined);
  });
  // Stages that are files of their own have nothing in it.
  const hasWeights = Object.keys(networkParams(network)).length > 0;
  let weights: Named<Weight> = {};
  if (hasWeights) {
    const bytes = await read(folder, WEIGHTS);
    try {
      weights = readSafetensors(bytes).tensors;
    } catch (cause) {
      throw new ForecasterError(`forecaster folder ${folder}: ${WEIGHTS} is damaged: ${messageOf(cause)}`, {
        cause,
      });
    }
  }
  try {
    return withWeights(settings.data, network, weights);
  } catch (cause) {
    throw named(cause, 'its two files must be of one training');
  }
};

/**
 * Writes the folder; each file appears whole or not at all.
 * @param options.durable wait until the disk has it, so that a power cut cannot take it back
 */
export const saveForecaster = async (
  folder: string,
  { settings, weights }: Pick<Forecaster, 'settings' | 'weights'>,
  options: { readonly durable?: boolean } = {},
): Promise<void> => {
  const text = Buffer.from(`${JSON.stringify(settings, undefined, 2)}\n`);
  await mkdir(folder, { recursive: true });
  await writeAtomically(join(folder, WEIGHTS), writeSafetensors(weights), options);
  await writeAtomically(join(folder, SETTINGS), text, options);
};
