import { open } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { CodecError, messageOf } from '../pipeline/errors.js';
import type { PhysicalTime, SampleType } from '../pipeline/frame.js';
import type { ByteSource, Incomplete } from '../pipeline/plugins/plugin.js';

export interface Hdf5Request {
  readonly path: string;
  /** A program has it open in SWMR mode. */
  readonly live: boolean;
  /** Paths of datasets; undefined: the one that NeXus shows, or the only one. */
  readonly wanted: readonly string[] | undefined;
  /** Which frame to read; undefined: only describe. */
  readonly item: number | undefined;
  /** Path of the dataset of times; undefined: one called time, times or t beside the field. */
  readonly times: string | undefined;
  /** With N first, `item` is an index of the first axis; otherwise the whole dataset is the frame. */
  readonly axes: string;
}

export interface Dimensions {
  readonly name: string;
  readonly dimensions: readonly number[];
  readonly sampleType: SampleType;
}

export type Hdf5Answer =
  /** After a fatal error the library is in no state to read anything else. */
  | { readonly error: string; readonly code?: string | undefined; readonly fatal?: boolean }
  | {
      readonly fields: readonly Dimensions[];
      readonly data: readonly Float32Array[];
      readonly time?: PhysicalTime | undefined;
    };

/** Milliseconds after which a file is taken for one that makes the library run in circles, */
const PATIENCE = 15_000;
/** unless after so many more nobody can open it either. */
const AWAY = 1000;
const TOO_LONG = 'ETIMEDOUT';
/** Milliseconds without a request after which the thread and its memory are given up. */
const IDLE = 60_000;

let thread: { readonly worker: Worker; settle: (answer: Hdf5Answer) => void } | undefined;
let idle: NodeJS.Timeout | undefined;
let turn: Promise<unknown> = Promise.resolve();

const dismiss = (): void => {
  void thread?.worker.terminate();
  thread = undefined;
};

const start = (): NonNullable<typeof thread> => {
  const worker = new Worker(new URL('./hdf5-worker.js', import.meta.url));
  const started = { worker, settle: (_answer: Hdf5Answer): void => undefined };
  const giveUp = (error: string): void => {
    if (thread === started) dismiss();
    started.settle({ error });
  };
  worker.on('message', (answer: Hdf5Answer) => {
    worker.unref(); // the timer of each request holds the process
    started.settle(answer);
  });
  worker.on('error', (error) => {
    giveUp(`the HDF5 library cannot read it: ${messageOf(error)}`);
  });
  worker.on('exit', () => {
    giveUp('the HDF5 library gave up on it: it is damaged');
  });
  return started;
};

const send = (request: Hdf5Request): Promise<Hdf5Answer> =>
  new Promise((resolve) => {
    clearTimeout(idle);
    try {
      thread ??= start();
    } catch (error) {
      // The system may have room for another thread the next time.
      resolve({ error: `HDF5 cannot be started: ${messageOf(error)}`, code: 'EAGAIN' });
      return;
    }
    const busy = thread;
    const timer = setTimeout(() => {
      dismiss();
      // A file that is damaged makes it run in circles; a server that is away makes it wait.
      busy.settle({
        error: 'the HDF5 library does not come to an end with it: it is damaged',
        code: TOO_LONG,
      });
    }, PATIENCE);
    busy.settle = (answer) => {
      clearTimeout(timer);
      busy.settle = () => undefined;
      if ('fatal' in answer && answer.fatal && thread === busy) dismiss();
      idle = setTimeout(dismiss, IDLE).unref();
      resolve(answer);
    };
    busy.worker.postMessage(request);
  });

/** A server that is away does not answer to this either. */
const opens = (path: string): Promise<boolean> =>
  Promise.race([
    open(path).then(
      (file) => file.close().then(() => true),
      () => false,
    ),
    pause(AWAY, false, { ref: false }),
  ]);

/**
 * Asks the thread that has HDF5, one request after the other.
 * @throws CodecError with the library's reason, the system's error where the file cannot be read just now
 */
export const askHdf5 = async (request: Hdf5Request): Promise<Exclude<Hdf5Answer, { error: string }>> => {
  const job = turn.then(() => send(request));
  turn = job;
  const answer = await job;
  if ('error' in answer) {
    const { error, code } = answer;
    if (code === undefined || (code === TOO_LONG && (await opens(request.path)))) throw new CodecError(error);
    throw Object.assign(new Error(error), { code });
  }
  return answer;
};

const SIGNATURE = Buffer.from('894844460d0a1a0a', 'hex');

/**
 * What the superblock says of the file's state (HDF5 File Format Specification 3.0, II.A): `live` while a program writes
 * it in SWMR mode. Truncation is seen by the end of the file that is kept in it.
 */
export const superblockOf = async (bytes: ByteSource): Promise<{ incomplete: Incomplete; live: boolean }> => {
  const not = (incomplete: string) => ({ incomplete, live: false });
  if (bytes.size === 0) return not('the file is empty');
  const head = await bytes.read(0, 64);
  if (!head.subarray(0, 8).equals(SIGNATURE.subarray(0, head.length)))
    return not('it does not begin like an HDF5 file');
  const cut = `it ends at byte ${bytes.size}, before the end of the HDF5 file`;
  if (head.length < 64) return not(cut);
  const version = head.readUInt8(8);
  if (version > 3) return not(`HDF5 superblock version ${version} is not known`);
  if (head.readUInt8(version < 2 ? 13 : 9) !== 8)
    return not('HDF5 files with short offsets are not supported');
  const flags = version === 3 ? head.readUInt8(11) : 0;
  const [WRITING, SWMR] = [1, 4];
  if ((flags & SWMR) !== 0) return { incomplete: undefined, live: true };
  if ((flags & WRITING) !== 0) return not('a program has it open for writing, or ended without closing it');
  const end = head.readBigUInt64LE([40, 44, 28, 28][version] ?? 28);
  return end > BigInt(bytes.size) ? not(cut) : { incomplete: undefined, live: false };
};
