import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { StateError } from '../../src/pipeline/errors.js';
import { openStateFolder } from '../../src/pipeline/state/state-folder.js';

let home: string;
let folder: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-state-'));
  folder = join(home, 'a', 'state');
});
afterEach(() => rm(home, { recursive: true }));

const hold = async (): Promise<ChildProcess> => {
  const script = fileURLToPath(new URL('../support/state-holder.js', import.meta.url));
  const child = spawn(process.execPath, [script, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return child;
};

test('makes the folder, holds it, and lets it go', async () => {
  const state = openStateFolder(folder);
  expect(state.path).toBe(folder);
  expect(await readFile(join(folder, 'version'), 'utf8')).toBe('2\n');
  expect(() => openStateFolder(folder)).toThrow(`process ${process.pid}`);
  state.release();
  state.release();
  const next = openStateFolder(folder);
  state.release(); // must not release what is another's
  expect(() => openStateFolder(folder)).toThrow(StateError);
  next.release();
  expect(await readdir(folder)).toEqual(['version']);
});

test('another living process keeps it; one that was killed does not', async () => {
  const child = await hold();
  expect(() => openStateFolder(folder)).toThrow(`in use by process ${child.pid}`);
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
  openStateFolder(folder).release();
});

test('a process number that another process has got since does not block', async () => {
  openStateFolder(folder).release();
  const holder = { pid: process.pid, started: 'long ago', host: hostname() };
  await writeFile(join(folder, 'lock'), JSON.stringify(holder));
  openStateFolder(folder).release();
  await writeFile(join(folder, 'lock'), '');
  openStateFolder(folder).release();
});

test('a lock of another machine counts while it is kept fresh', async () => {
  openStateFolder(folder).release();
  const lock = join(folder, 'lock');
  await writeFile(lock, JSON.stringify({ pid: 1, started: 'then', host: 'elsewhere' }));
  expect(() => openStateFolder(folder)).toThrow('process 1 on elsewhere');
  const old = new Date(Date.now() - 3_600_000);
  await utimes(lock, old, old);
  openStateFolder(folder).release();
});

test('in containers of one host name a process number is another process: such a lock counts while it is kept fresh', async () => {
  const held = openStateFolder(folder);
  const lock = join(folder, 'lock');
  const own = JSON.parse(await readFile(lock, 'utf8')) as Record<string, unknown>;
  held.release();
  await writeFile(lock, JSON.stringify({ ...own, started: 'then', namespace: 'pid:[1]' }));
  const withNamespaces = process.platform === 'linux';
  if (withNamespaces) expect(() => openStateFolder(folder)).toThrow(`${process.pid} in another container`);
  const old = new Date(Date.now() - 3_600_000);
  await utimes(lock, old, old);
  openStateFolder(folder).release();
});

test('a folder of the version before is taken over, and no longer that of an older mesocast', async () => {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'version'), '1\n');
  openStateFolder(folder).release();
  expect(await readFile(join(folder, 'version'), 'utf8')).toBe('2\n');
});

test('an unknown version is refused, and so is a path that cannot be a folder', async () => {
  openStateFolder(folder).release();
  await writeFile(join(folder, 'version'), '7\n');
  expect(() => openStateFolder(folder)).toThrow('version 7');
  await writeFile(join(home, 'file'), '');
  expect(() => openStateFolder(join(home, 'file'))).toThrow(StateError);
});
