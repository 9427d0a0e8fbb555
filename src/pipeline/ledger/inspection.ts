import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { StateError } from '../errors.js';
import { holderOf } from '../state/state-folder.js';

/** Exit codes of the inspecting process. */
export const MIGRATED = 10;
export const UNWRITTEN = 11;
export const DAMAGED = 12;
/** What ends whoever reads a damaged database. */
const BY_DAMAGE: readonly (string | null)[] = ['SIGBUS', 'SIGSEGV', 'SIGABRT', 'SIGILL', 'SIGFPE', 'SIGTRAP'];
const OUT_OF_MEMORY = 'out of memory';

/** What the process that read all of a ledger's file says of it. Rewrites one of an older version, if it may. */
const inspected = (path: string, target?: string): 'sound' | 'damaged' => {
  const script = fileURLToPath(new URL('./inspect.js', import.meta.url));
  const args = [script, path, ...(target === undefined ? [] : [target])];
  const { status, error, signal, stderr } = spawnSync(process.execPath, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
  });
  if (error !== undefined)
    throw new StateError(`cannot check the ledger ${path}: ${error.message}`, { cause: error });
  if (status === UNWRITTEN)
    throw new StateError(`cannot bring the ledger ${path} to the present version: ${stderr}`, {
      hint: 'check that the disk of the state folder has room and can be written, then start again',
    });
  if (status === MIGRATED && target !== undefined) {
    renameSync(target, path);
    rmSync(`${target}-lock`, { force: true });
    rmSync(`${path}-lock`, { force: true });
    return 'sound';
  }
  if (status === 0) return 'sound';
  // A sound ledger must not be set aside because its check was killed, or could not be made.
  if (status === DAMAGED || (BY_DAMAGE.includes(signal) && !stderr.includes(OUT_OF_MEMORY))) return 'damaged';
  // It asks the daemon to read its settings again, and goes to the whole group.
  if (signal === 'SIGHUP') return inspected(path, target);
  if (signal !== null) throw new StateError(`the check of the ledger ${path} was stopped by ${signal}`);
  throw new StateError(`cannot check the ledger ${path}: ${stderr.trim().split('\n').at(-1)}`);
};

/**
 * Whoever cannot write LMDB's lock file reads without telling the writer, who then reuses pages that are being read: a
 * sound ledger looks damaged.
 */
const isReadUnseen = (path: string): boolean => {
  try {
    accessSync(`${path}-lock`, constants.W_OK);
    return false;
  } catch {
    return holderOf(dirname(path)) !== undefined;
  }
};

/** @throws StateError when there is none, it is damaged, or that cannot be told. Changes nothing. */
export const requireSound = (path: string): void => {
  if (!existsSync(path)) throw new StateError(`there is no ledger ${path}`);
  if (inspected(path) === 'sound') return;
  if (isReadUnseen(path))
    throw new StateError(`the ledger ${path} changes while it is read: ${path}-lock cannot be written`, {
      hint: 'run this as the user of the run',
    });
  throw new StateError(`the ledger ${path} is damaged`, {
    hint: 'the next start of mesocast attach sets it aside and rebuilds what it can from the directory',
  });
};

/**
 * Makes a ledger's file one that can be opened: rewrites one of an older version, renames a damaged one.
 * @returns where a damaged one is now
 * @throws StateError when the file cannot be checked or rewritten
 */
export const makeSound = (path: string): string | undefined => {
  if (!existsSync(path)) return undefined;
  const target = `${path}.migrated`;
  rmSync(target, { force: true }); // of a migration that was killed
  if (inspected(path, target) === 'sound') return undefined;
  let number = 1;
  while (existsSync(`${path}.damaged-${number}`)) number++;
  const aside = `${path}.damaged-${number}`;
  renameSync(path, aside);
  rmSync(`${path}-lock`, { force: true });
  return aside;
};
