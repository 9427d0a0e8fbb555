/**
 * Reads all of a ledger's database in a process of its own, because LMDB maps the file into memory: a damaged one ends
 * whoever reads it with a signal. `inspect FILE` ends with code 0 for a sound file; `inspect FILE TARGET` also rewrites
 * one of version 1 as TARGET, and ends with MIGRATED, or UNWRITTEN where that fails. It ends with DAMAGED, or the signal that
 * LMDB brings about, for a damaged one; with whatever else the file could not be looked at. Reasons are on standard error.
 */
import { rmSync } from 'node:fs';
import { constants } from 'node:os';
import type { RootDatabase } from 'lmdb';
import { open } from 'lmdb';
import { messageOf } from '../errors.js';
import { DAMAGED, MIGRATED, UNWRITTEN } from './inspection.js';
import { migrateFrom1 } from './migrate.js';
import { isIntact } from './sealed.js';
import { TABLES } from './store.js';

const [, , path, target] = process.argv;
if (path === undefined) throw new Error('usage: inspect FILE [TARGET]');

/** Records of a table. @throws Error when one is not what was written, or the table does not have as many as it says */
const countOf = (root: RootDatabase, name: string): number => {
  const table = root.openDB<string, (string | number)[]>(name, { encoding: 'string' });
  let count = 0;
  for (const { key, value } of table.getRange()) {
    if (!isIntact(key, value)) throw new Error(`${name}: ${JSON.stringify(key)}`);
    count++;
  }
  const { entryCount } = table.getStats() as { entryCount?: number };
  if (entryCount !== count) throw new Error(`${name} has ${count} of ${entryCount} records`);
  return count;
};

const inspect = async (path: string): Promise<void> => {
  const root = open({ path, noSubdir: true, readOnly: true, maxDbs: TABLES.length + 2 });
  const present = new Set([...root.getKeys()].map(String));
  const version: unknown = root.openDB<unknown, string[]>('meta', {}).get(['version']);
  if (version === 1) {
    for (const name of present)
      for (const { value } of root.openDB(name, {}).getRange())
        if (value === undefined) throw new Error(`${name} has a record that cannot be read`);
    if (target !== undefined) {
      try {
        await migrateFrom1(root, target);
        process.exitCode = MIGRATED;
      } catch (error) {
        rmSync(target, { force: true });
        process.stderr.write(messageOf(error));
        process.exitCode = UNWRITTEN;
      }
    }
  } else if (version === 2) {
    for (const name of TABLES) if (present.has(name)) countOf(root, name);
  } else if (typeof version !== 'number') throw new Error('it has no version');
  await root.close();
};

const { EACCES, EPERM, EROFS, EIO, ENOMEM, ENOSPC, EMFILE, ENFILE } = constants.errno;
/** What LMDB gives on when the system lets it down: nothing is known of the file then. */
const OF_THE_SYSTEM: readonly unknown[] = [EACCES, EPERM, EROFS, EIO, ENOMEM, ENOSPC, EMFILE, ENFILE];
const isOfTheSystem = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && OF_THE_SYSTEM.includes(error.code);

try {
  await inspect(path);
} catch (error) {
  process.stderr.write(messageOf(error));
  process.exit(isOfTheSystem(error) ? 1 : DAMAGED);
}
