import { availableParallelism } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { openEngine } from '../../engine/index.js';
import { messageOf } from '../../pipeline/errors.js';
import { openCodecs } from '../../pipeline/intake/input.js';
import { openPreparation } from '../../pipeline/intake/preparation.js';
import { createIntake } from './intake.js';
import { createLearner } from './learner.js';
import type { FromLearner, LearnerSetup, ToLearner } from './messages.js';
import { createReplay } from './replay.js';
import { shareOf } from './share.js';

/** The process that learns: it may die of native code and take nothing along; its parent starts another. */

/** Milliseconds between looks for something to do, when there was nothing. */
const IDLE = 100;
/** Milliseconds that it waits for one that it has offered to be taken or refused. */
const MOST_WAITING = 30_000;
/** Messages that it takes from one piece of work to the next: frames may come faster than they can be read. */
const MOST_AT_ONCE = 64;

const tell = (message: FromLearner): void => {
  process.send?.(message);
};
const isFor = (message: unknown): message is ToLearner =>
  typeof message === 'object' && message !== null && 'type' in message;

const waiting: ToLearner[] = [];
let wake = (): void => undefined;
process.on('message', (message) => {
  if (!isFor(message)) return;
  waiting.push(message);
  wake();
});
process.on('disconnect', () => process.exit());
// Ctrl-C goes to the whole group: the parent says when to end.
process.on('SIGINT', () => undefined);

const first = async (): Promise<LearnerSetup> => {
  for (;;) {
    const message = waiting.shift();
    if (message?.type === 'setup') return message.setup;
    if (message === undefined) await new Promise<void>((resolve) => (wake = resolve));
  }
};

const run = async (): Promise<void> => {
  const setup = await first();
  const { threads, busy } = shareOf(setup.budget, availableParallelism());
  const engine = await openEngine('cpu', threads, () => undefined);
  const { apply } = await openPreparation(setup.preparation);
  const codecs = await openCodecs(setup.channels, setup.codecs, apply);
  const replay = createReplay(setup);
  /** While one that was offered gets ready to take over, the processor is left to it, and to the frames. */
  let offeredAt = -Infinity;
  const learner = await createLearner({
    setup,
    engine,
    replay,
    tell: (message) => {
      if (message.type === 'challenger') offeredAt = performance.now();
      tell(message);
    },
  });

  const intake = createIntake({ codecs, replay, notice: (message) => tell({ type: 'notice', message }) });
  const take = async (message: ToLearner): Promise<void> => {
    if (message.type === 'champion') {
      offeredAt = -Infinity;
      learner.setChampion(message.folder, message.rolledBack);
    }
    if (message.type === 'changed') learner.wake();
    if (message.type === 'frames' && !learner.isDone) await intake(message);
  };
  const takeSome = async (): Promise<void> => {
    for (let left = MOST_AT_ONCE; left > 0 && waiting.length > 0; left--) await take(waiting.shift()!);
  };
  /** Milliseconds of rest that go with some of work. */
  const restAfter = (started: number): number => ((performance.now() - started) * (1 - busy)) / busy;
  for (;;) {
    const started = performance.now();
    await takeSome();
    const isWaiting = performance.now() - offeredAt < MOST_WAITING;
    const worked = !isWaiting && (await learner.turn());
    const idle = worked || waiting.length > 0 ? 0 : IDLE;
    const ms = Math.max(idle, restAfter(started));
    if (ms > 0) await pause(ms);
  }
};

run().catch((error: unknown) => {
  tell({ type: 'notice', message: `learning stopped: ${messageOf(error)}` });
  process.exitCode = 1;
  process.disconnect();
});
