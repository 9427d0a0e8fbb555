import { execFile, fork, type ChildProcess } from 'node:child_process';
import { constants, setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { messageOf } from '../../pipeline/errors.js';
import type { FromLearner, LearnerSetup, ToLearner } from './messages.js';

/** A learner that died is started again after so many milliseconds, twice as many each time, and not for ever. */
const [FIRST_PAUSE, MOST_STARTS] = [5_000, 6];
/** Milliseconds after which one has done well, and what came before does not count: a daemon runs for months. */
const STEADY = 3_600_000;

/**
 * The lowest priority that there is. On Linux that is the policy for idle processors, where util-linux is there to set it: a
 * process that is merely as nice as can be keeps its core for milliseconds when another one wakes up, which a network whose
 * threads wait for each other does at every operator.
 */
const lower = (pid: number): void => {
  try {
    setPriority(pid, constants.priority.PRIORITY_LOW);
  } catch {
    return; // it has ended, and says itself why
  }
  if (process.platform === 'linux')
    execFile('chrt', ['--all-tasks', '--idle', '--pid', '0', String(pid)], () => undefined);
};

const isFrom = (message: unknown): message is FromLearner =>
  typeof message === 'object' && message !== null && 'type' in message;

export interface LearnerProcess {
  send(message: Exclude<ToLearner, { type: 'setup' }>): void;
  close(): Promise<void>;
}

export interface LearnerProcessOptions {
  /** As things are when a process starts. */
  readonly setup: () => LearnerSetup;
  readonly hear: (message: FromLearner) => void;
  /** A process has started and knows of no frame: it has to be told again. */
  readonly started: () => void;
  readonly notice: (message: string) => void;
}

/** The learner in a process of its own, started again when it dies. */
export const startLearner = ({ setup, hear, started, notice }: LearnerProcessOptions): LearnerProcess => {
  let child: ChildProcess | undefined;
  let closing = false;
  let starts = 0;
  let timer: NodeJS.Timeout | undefined;
  let ended: Promise<void> = Promise.resolve();

  const startLater = (how: string): void => {
    if (starts >= MOST_STARTS) {
      notice(`the learning process ended ${starts} times in a row (${how}): forecasting goes on without it`);
      return;
    }
    const delay = FIRST_PAUSE * 2 ** (starts - 1);
    notice(`the learning process ended (${how}); another one starts in ${delay / 1000} s`);
    timer = setTimeout(start, delay);
    timer.unref();
  };
  /** @throws what the system says when it has no memory or files left for another process */
  const forkChild = (): ChildProcess =>
    fork(fileURLToPath(new URL('./child.js', import.meta.url)), {
      execArgv: [],
      serialization: 'advanced',
      // Each judgement has weights of its own: keeping its programs on disk would fill it.
      env: { ...process.env, MESOCAST_CACHE: 'off' },
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
  const start = (): void => {
    starts++;
    const began = performance.now();
    let process_: ChildProcess;
    try {
      process_ = forkChild();
    } catch (error) {
      startLater(messageOf(error));
      return;
    }
    child = process_;
    // Before it begins: what it loads is work as well.
    if (process_.pid !== undefined) lower(process_.pid);
    ended = new Promise((resolve) => process_.once('close', () => resolve()));
    process_.on('message', (message) => {
      if (isFrom(message)) hear(message);
    });
    process_.on('error', () => undefined); // `close` follows
    process_.on('close', (code, signal) => {
      child = undefined;
      if (closing) return;
      if (performance.now() - began > STEADY) starts = 1;
      startLater(signal ?? `exit code ${code ?? '?'}`);
    });
    if (process_.connected) process_.send({ type: 'setup', setup: setup() } satisfies ToLearner);
    started();
  };
  start();
  return {
    send: (message) => {
      if (child?.connected === true) child.send(message, () => undefined);
    },
    close: async () => {
      closing = true;
      clearTimeout(timer);
      child?.kill('SIGKILL'); // what it has learned is on disk since it was last judged
      await ended;
    },
  };
};
