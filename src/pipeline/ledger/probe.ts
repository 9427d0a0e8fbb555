/**
 * Reads all of a ledger's database in a process of its own, because LMDB maps the file into memory: a damaged one
 * ends whoever reads it with a signal. Exit code 0 says that the file is sound.
 */
import { open } from 'lmdb';
import { TABLES } from './store.js';

const [, , path] = process.argv;
if (path === undefined) throw new Error('usage: ledger-probe FILE');
const root = open({ path, noSubdir: true, readOnly: true, maxDbs: TABLES.length });
const present = new Set([...root.getKeys()].map(String));
for (const name of TABLES) {
  if (!present.has(name)) continue;
  for (const { value } of root.openDB(name, {}).getRange()) if (value === undefined) process.exitCode = 1;
}
await root.close();
