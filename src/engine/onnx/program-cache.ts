import { createHash } from 'node:crypto';
import { access, constants, mkdir, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import ort from 'onnxruntime-node';

type Session = ort.InferenceSession;
type Options = ort.InferenceSession.SessionOptions;

/** A program as ONNX Runtime takes it. */
export interface Model {
  /** An .onnx file. */
  readonly bytes: Uint8Array;
  readonly options: Options;
  /** Folder of optimised programs; undefined keeps none on disk. */
  readonly cache: string | undefined;
}

/** Programs that are used least recently go when the folder holds more than this. */
const MOST_BYTES = 512 * 2 ** 20;
/** What a process that was killed has left half done goes after so many milliseconds. */
const ABANDONED = 3_600_000;
const DRAFT = 'draft-';

/** What the first processor of a /proc/cpuinfo can do; undefined where it does not say. */
export const featuresIn = (cpuinfo: string): string | undefined =>
  /^(?:flags|Features)\s*:\s*(.*)$/m.exec(cpuinfo)?.[1];

/**
 * ONNX Runtime lays weights out in blocks as wide as the processor's registers. A model's name need not tell: virtual
 * machines that are called "AMD EPYC" have AVX-512 or not, and may share a folder. Where no list is to be had the name
 * must do: macOS and Windows know the very model, and have their caches on the machine's own disk.
 */
const featuresHere = readFile('/proc/cpuinfo', 'utf8').then(featuresIn, () => undefined);

/** Everything that decides what ONNX Runtime makes of a model: it lays weights out for the very processor. */
export const keyOf = ({ bytes, options }: Model, features: string | undefined): string => {
  const machine = [ort.env.versions.node, process.platform, process.arch, cpus()[0]?.model, features];
  return createHash('sha256')
    .update(JSON.stringify([machine, options]))
    .update(bytes)
    .digest('hex');
};

/** What other processes do meanwhile, or forbid, is no reason not to go on. */
const forgetOldest = async (folder: string): Promise<void> => {
  const names = await readdir(folder).catch(() => []);
  const found = await Promise.all(
    names.map(async (name) => {
      const known = await stat(join(folder, name)).catch(() => undefined);
      if (known === undefined) return [];
      const { size, mtimeMs } = known;
      return [{ name, path: join(folder, name), size, mtimeMs }];
    }),
  );
  const isDraft = ({ name }: { name: string }): boolean => name.startsWith(DRAFT);
  for (const { path, mtimeMs } of found.flat().filter(isDraft))
    if (Date.now() - mtimeMs > ABANDONED) await rm(path, { force: true }).catch(() => undefined);
  const files = found.flat().filter(({ name }) => name.endsWith('.onnx'));
  let total = files.reduce((sum, { size }) => sum + size, 0);
  for (const { path, size } of files.sort((a, b) => a.mtimeMs - b.mtimeMs)) {
    if (total <= MOST_BYTES) return;
    await rm(path, { force: true }).catch(() => undefined);
    total -= size;
  }
};

/** A session of a file that an earlier one left behind; undefined where there is none, or none that loads. */
const load = async (path: string, options: Options): Promise<Session | undefined> => {
  try {
    await access(path);
  } catch {
    return undefined;
  }
  try {
    const kept = { ...options, graphOptimizationLevel: 'disabled' as const };
    const session = await ort.InferenceSession.create(path, kept);
    const now = new Date();
    await utimes(path, now, now).catch(() => undefined); // a folder that can only be read is used too
    return session;
  } catch {
    await rm(path, { force: true }).catch(() => undefined); // a file that was cut short, say
    return undefined;
  }
};

const createAndSave = async (
  folder: string,
  path: string,
  { bytes, options }: Model,
): Promise<Session | undefined> => {
  const draft = join(folder, `${DRAFT}${process.pid}-${Math.random().toString(36).slice(2)}`);
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await access(folder, constants.W_OK); // else all the work would be for nothing
    const session = await ort.InferenceSession.create(bytes, { ...options, optimizedModelFilePath: draft });
    await rename(draft, path);
    await forgetOldest(folder);
    return session;
  } catch {
    await rm(draft, { force: true }).catch(() => undefined);
    return undefined; // no room or no right to write: works without
  }
};

/** A session, from disk where an earlier process has left the optimised program. */
const open = async (key: string, model: Model): Promise<Session> => {
  const { bytes, options, cache } = model;
  const path = cache === undefined ? undefined : join(cache, `${key}.onnx`);
  const kept =
    cache === undefined || path === undefined
      ? undefined
      : ((await load(path, options)) ?? (await createAndSave(cache, path, model)));
  return kept ?? ort.InferenceSession.create(bytes, options);
};

/**
 * Sessions by content: the same program asked for twice is one session, which lives until its last user releases it.
 * A later process finds what ONNX Runtime made of the program on disk.
 */
export const programCache = () => {
  const sessions = new Map<string, { session: Session; users: number }>();
  const keys = new Map<Session, string>();
  return {
    /** @throws what ONNX Runtime says of a model that it cannot run */
    open: async (model: Model): Promise<Session> => {
      const key = keyOf(model, await featuresHere);
      const known = sessions.get(key);
      if (known !== undefined) {
        known.users++;
        return known.session;
      }
      const session = await open(key, model);
      sessions.set(key, { session, users: 1 });
      keys.set(session, key);
      return session;
    },
    release: async (session: Session): Promise<void> => {
      const key = keys.get(session) ?? '';
      const known = sessions.get(key);
      if (known === undefined || --known.users > 0) return;
      sessions.delete(key);
      keys.delete(session);
      await session.release();
    },
  };
};
