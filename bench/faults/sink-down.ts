import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { daemon } from '../../test/support/runs.js';
import { freePort } from '../../test/support/servers.js';
import { accountFrames, accountMessages, expectedKeys } from './accounts.js';
import type { Message } from './accounts.js';
import type { Fault } from './fault.js';
import { findings, unless } from './fault.js';
import type { Truth } from './frames.js';
import { putSeries } from './frames.js';
import { openReceiver } from './receiver.js';

const [CONTEXT, HORIZON] = [4, 5];
/** Milliseconds until what waited has to be there: the longest pause between two tries, and time to send it. */
const CATCH_UP = 90_000;

/** Two servers that nobody answers for, one that the run waits for and one whose deliveries wait on disk; then they are there. */
export const sinkDown: Fault = {
  name: 'sink-down',
  run: async ({ folder, forecaster, quick }) => {
    const seconds = quick ? 10 : 600;
    const [directory, out] = [join(folder, 'frames'), join(folder, 'out')];
    const ports = [await freePort(), await freePort()];
    const config = join(folder, 'run.yaml');
    await mkdir(directory);
    const sinks = ['spill', 'block'].map((policy, at) => ({
      name: 'webhook',
      as: policy,
      policy,
      options: { url: `http://127.0.0.1:${ports[at]}/hook` },
    }));
    await writeFile(
      config,
      JSON.stringify({
        ...{
          directory,
          out,
          forecaster,
          context: CONTEXT,
          horizon: HORIZON,
          device: 'cpu',
          threads: 1,
          sinks,
        },
        ...{ pollInterval: 0.2, frames: 40 },
      }),
    );
    const truth: Truth = new Map();
    const run = daemon(['--config', config]);
    await putSeries(directory, '', 0, 20, truth);
    await sleep(seconds * 1000);
    await putSeries(directory, '', 20, 40, truth);
    const alive = run.running;
    const receivers = [await openReceiver(undefined, ports[0]), await openReceiver(undefined, ports[1])];
    const timer = setTimeout(() => run.kill('SIGTERM'), CATCH_UP);
    const { code, stderr } = await run.exited;
    clearTimeout(timer);
    for (const receiver of receivers) await receiver.close();

    const { examples, ...frames } = await accountFrames(join(out, 'state'), truth);
    const keys = expectedKeys(truth, CONTEXT, HORIZON);
    const accounts = receivers.map(({ messages }, at) =>
      accountMessages(sinks[at]?.as ?? '', messages, keys),
    );
    const sum = (of: 'missing' | 'repeats' | 'unknown'): number =>
      accounts.reduce((total, account) => total + account[of], 0);
    return findings(`two servers away for ${seconds} s, and then there`, {
      ...frames,
      ...{ missing: sum('missing'), repeats: sum('repeats'), unknown: sum('unknown') },
      wrong: [
        ...unless(alive && code === 0, `exit code ${code}: ${stderr}`),
        ...receivers.flatMap(({ messages }, at) =>
          unless(inOrder(messages), `${sinks[at]?.as}: not in order`),
        ),
        ...examples,
        ...accounts.flatMap((account) => account.examples),
      ],
    });
  },
};

const inOrder = (messages: readonly Message[]): boolean => {
  const indices = messages.flatMap(({ body }) =>
    body['type'] === 'forecast' ? [Number(body['index'])] : [],
  );
  return indices.every((index, at) => at === 0 || index > (indices[at - 1] ?? -1));
};
