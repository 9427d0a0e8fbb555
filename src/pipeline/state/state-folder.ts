import { execFileSync } from 'node:child_process';
import {
  linkSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { StateError, codeOf, messageOf } from '../errors.js';

/** Bumped when anything in the folder changes so that an older mesocast would misread it. */
const STATE_VERSION = 2;
/** Of older versions everything can be read: whoever reads a part brings it up to date. */
const OLDEST_VERSION = 1;

/** A state folder that belongs to this process until it is released. */
export interface StateFolder {
  /** Absolute. */
  readonly path: string;
  /** When it was taken, ISO 8601: as the lock has it. */
  readonly since: string;
  /** Lets the next daemon in. Idempotent. */
  release(): void;
}

/** Whose lock it is. A process id alone may have gone to another process since; with its start time it cannot. */
interface Holder {
  readonly pid: number;
  readonly started: string;
  readonly host: string;
  /** The PID namespace, where there are such: in containers of one host name a process id means another process. */
  readonly namespace?: string | undefined;
  /** When it took the folder, ISO 8601. Older versions did not write it. */
  readonly since?: string | undefined;
}

/** A lock from another machine or container counts while its owner has touched it within this time. */
const HEARTBEAT_MS = 10_000;
const ABANDONED_MS = 6 * HEARTBEAT_MS;

/**
 * Makes the folder if need be, checks its version and locks it against a second daemon. The lock of a process that is
 * gone, kill -9 included, is taken over.
 * @throws StateError when the folder is in use, of another version, or cannot be written
 */
export const openStateFolder = (folder: string): StateFolder => {
  const path = resolve(folder);
  try {
    mkdirSync(path, { recursive: true });
    const version = versionOf(path);
    const since = new Date().toISOString();
    const release = lock(path, since);
    if (version !== STATE_VERSION) writeFileSync(join(path, 'version'), `${STATE_VERSION}\n`);
    return { path, since, release };
  } catch (error) {
    if (error instanceof StateError) throw error;
    throw new StateError(`cannot use the state folder ${path}: ${messageOf(error)}`, {
      cause: error,
      hint: 'name a folder that can be written with --state',
    });
  }
};

/** Undefined in a folder that is new. @throws StateError for a version that this mesocast does not know */
const versionOf = (path: string): number | undefined => {
  const found = readIfThere(join(path, 'version'))?.trim();
  if (found === undefined || found === '') return undefined;
  const version = Number(found);
  if (version >= OLDEST_VERSION && version <= STATE_VERSION) return version;
  throw new StateError(
    `the state folder ${path} has version ${found}, this mesocast reads version ${STATE_VERSION}`,
    { hint: 'use the mesocast that wrote it, or begin anew with another --state folder' },
  );
};

const lock = (path: string, since: string): (() => void) => {
  const file = join(path, 'lock');
  const holder: Holder = {
    ...{ pid: process.pid, started: startOf(process.pid) ?? '', host: hostname() },
    ...{ namespace: ownNamespace(), since },
  };
  const own = JSON.stringify(holder);
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, own);
  try {
    // A link appears with its content or not at all; nobody ever reads half a lock.
    for (let attempt = 0; !tryLink(draft, file); attempt++) {
      const found = readIfThere(file);
      if (found === undefined) continue; // released at this moment
      const holder = parseHolder(found);
      if (attempt > 20 || (holder !== undefined && isAlive(holder, file))) throw inUse(path, file, holder);
      removeStale(file, found);
    }
  } finally {
    rmSync(draft, { force: true });
  }
  const heartbeat = setInterval(() => {
    try {
      utimesSync(file, new Date(), new Date());
    } catch {
      // the folder went away: whatever writes there next will say so
    }
  }, HEARTBEAT_MS);
  heartbeat.unref();
  let released = false;
  return () => {
    if (released) return;
    released = true;
    clearInterval(heartbeat);
    if (readIfThere(file) === own) rmSync(file, { force: true });
  };
};

const inUse = (path: string, file: string, holder: Holder | undefined): StateError =>
  new StateError(
    holder === undefined
      ? `the state folder ${path} is in use`
      : `the state folder ${path} is in use by process ${holder.pid}` +
          (holder.host === hostname() ? '' : ` on ${holder.host}`) +
          (isOfOtherNamespace(holder) ? ' in another container' : ''),
    {
      hint: `stop that process, use another --state folder, or remove ${file} if it is not mesocast any more`,
    },
  );

/** Two daemons may find the same stale lock; a rename is won by one of them, and what it took by mistake it puts back. */
const removeStale = (file: string, found: string): void => {
  const aside = `${file}.stale-${process.pid}`;
  try {
    renameSync(file, aside);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw error;
  }
  if (readIfThere(aside) !== found) tryLink(aside, file);
  rmSync(aside, { force: true });
};

/** False when the lock is there already. */
const tryLink = (from: string, to: string): boolean => {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    if (!['EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK'].includes(codeOf(error) ?? '')) throw error;
  }
  try {
    writeFileSync(to, readFileSync(from), { flag: 'wx' }); // a file system without links
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
};

/** The process that holds a state folder, if it is alive. Changes nothing. */
export const holderOf = (path: string): Pick<Holder, 'pid' | 'host' | 'since'> | undefined => {
  const file = join(path, 'lock');
  const holder = parseHolder(readIfThere(file) ?? '');
  try {
    return holder !== undefined && isAlive(holder, file) ? holder : undefined;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined; // released at this moment
    throw error;
  }
};

const isAlive = (holder: Holder, file: string): boolean => {
  if (holder.host !== hostname() || isOfOtherNamespace(holder))
    return Date.now() - statSync(file).mtimeMs < ABANDONED_MS;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    return codeOf(error) === 'EPERM' && sameStart(holder); // it exists and is another user's
  }
  return sameStart(holder);
};

const ownNamespace = (): string | undefined => {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return undefined;
  }
};

/** False where that is not known. */
const isOfOtherNamespace = ({ host, namespace }: Holder): boolean => {
  const own = ownNamespace();
  return host === hostname() && namespace !== undefined && own !== undefined && namespace !== own;
};

const sameStart = (holder: Holder): boolean => {
  const started = startOf(holder.pid);
  return started === undefined || holder.started === '' || started === holder.started;
};

/** When a process started, in words that no other process with its number ever shares; undefined where nobody can say. */
const startOf = (pid: number): string | undefined => {
  try {
    // Everything up to the last ")" is the name, which may hold anything; field 22 counts clock ticks since boot.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\)/s, '').trim().split(/\s+/);
    if (fields[0] === 'Z') return 'ended'; // killed, and its parent has not noticed yet
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}:${fields[19] ?? ''}`;
  } catch {
    if (process.platform === 'linux' || process.platform === 'win32') return undefined;
  }
  try {
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim() || undefined;
  } catch {
    return undefined;
  }
};

const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

const parseHolder = (text: string): Holder | undefined => {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return undefined;
    const { pid, started, host, namespace, since }: Record<string, unknown> = { ...value };
    return typeof pid === 'number' && typeof started === 'string' && typeof host === 'string'
      ? { pid, started, host, namespace: textOf(namespace), since: textOf(since) }
      : undefined;
  } catch {
    return undefined; // not a lock that any mesocast wrote
  }
};

const readIfThere = (file: string): string | undefined => {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
};
