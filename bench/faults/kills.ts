import { mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { forecastPath } from '../../src/pipeline/delivery/layout.js';
import { uniformNumbers } from '../../src/pipeline/random.js';
import { daemon, forecastLines, scoreLines } from '../../test/support/runs.js';
import { framePath } from '../../test/support/tiny.js';
import { accountFrames, accountMessages, expectedKeys } from './accounts.js';
import type { Fault } from './fault.js';
import { findings, patiently, unless } from './fault.js';
import type { Manner, Truth } from './frames.js';
import { frameOf, remember, write } from './frames.js';
import { openReceiver } from './receiver.js';

const [CONTEXT, HORIZON] = [4, 5];
const MANNERS: readonly Manner[] = ['renamed', 'halves', 'part'];
const EXTENSIONS = { a: '.npy', b: '.png', c: '.npy' } as const;
/** Frames of a series that are there before the first of them was seen: the feeder waits for the daemon. */
const AHEAD = 24;
/** Milliseconds between frames, and after the start of work within which kills fall. */
const [PAUSE, WORK] = [60, 3000];

/** Writes three series, each no further than a little ahead of `seen`. */
const feed = (directory: string, truth: Truth, seen: (series: string) => number, random: () => number) => {
  let stopped = false;
  const next: Record<keyof typeof EXTENSIONS, number> = { a: 0, b: 0, c: 0 };
  const one = async (folder: keyof typeof EXTENSIONS): Promise<void> => {
    const [index, extension] = [next[folder], EXTENSIONS[folder]];
    if (index - seen(`frames/${folder}`) > AHEAD) return;
    next[folder]++;
    const bytes = await frameOf(index, extension);
    const manner = MANNERS[Math.floor(random() * MANNERS.length)] ?? 'renamed';
    await write(framePath(join(directory, folder), index, extension), bytes, manner);
    remember(truth, `frames/${folder}`, index, bytes);
  };
  const running = (async () => {
    for (const folder of ['a', 'b', 'c'] as const) await mkdir(join(directory, folder), { recursive: true });
    while (!stopped) {
      for (const folder of ['a', 'b', 'c'] as const) await one(folder);
      await sleep(3 * PAUSE);
    }
  })();
  return {
    stop: () => {
      stopped = true;
      return running;
    },
  };
};

/**
 * kill -9 at random instants, start-up included, of a run with three series and three sinks: one that writes lines, one that
 * writes files, and a server that now and then refuses, or takes a delivery and hangs up before it answers.
 */
export const kills: Fault = {
  name: 'kills',
  run: async ({ folder, forecaster, quick, note }) => {
    const [directory, out] = [join(folder, 'frames'), join(folder, 'out')];
    const random = uniformNumbers(5);
    let moody = true;
    const receiver = await openReceiver(() => {
      if (!moody) return 'takes';
      const draw = random();
      return draw < 0.02 ? 'refuses' : draw < 0.04 ? 'hangs up' : 'takes';
    });
    const config = join(folder, 'run.yaml');
    const sinks = [
      'jsonl',
      { name: 'files', options: { format: 'npy' } },
      { name: 'webhook', options: { url: receiver.url }, policy: 'spill' },
    ];
    const quickly = { device: 'cpu', threads: 1, pollInterval: 0.05, patience: 20 };
    await mkdir(directory);
    await writeFile(
      config,
      JSON.stringify({
        ...{ directory, out, forecaster, context: CONTEXT, horizon: HORIZON, sinks },
        ...quickly,
      }),
    );

    const truth: Truth = new Map();
    const last = new Map<string, number>();
    let counted = 0;
    const seen = (series: string): number => {
      for (; counted < receiver.messages.length; counted++) {
        const { series: of, index } = receiver.messages[counted]?.body ?? {};
        last.set(String(of), Math.max(last.get(String(of)) ?? 0, Number(index)));
      }
      return last.get(series) ?? 0;
    };
    const feeder = feed(directory, truth, seen, random);

    const wrong: string[] = [];
    const total = quick ? 12 : 200;
    let [start, working] = [0, 0];
    for (let kill = 0; kill < total; kill++) {
      const [began, before] = [performance.now(), receiver.messages.length];
      const life = daemon(['--config', config]);
      const works = (): boolean => !life.running || receiver.messages.length > before;
      // Every third is killed while it starts, the others while they work.
      if (kill % 3 === 1) await sleep(random() * start);
      else {
        await patiently('a delivery', works);
        if (kill === 0) start = performance.now() - began;
        await sleep(random() * WORK);
      }
      if (receiver.messages.length > before) working++;
      life.kill('SIGKILL');
      const { code, stderr } = await life.exited;
      if (code !== null) wrong.push(`life ${kill} ended by itself with ${code}: ${stderr}`);
      if (kill % 20 === 19) note(`  ${kill + 1} kills, ${receiver.messages.length} deliveries`);
    }
    await feeder.stop();
    moody = false;
    const end = await daemon(['--config', config, '--until-idle', '3']).exited;
    await receiver.close();
    wrong.push(...unless(end.code === 0, `the last life ended with ${end.code}: ${end.stderr}`));

    const frames = await accountFrames(join(out, 'state'), truth);
    const expected = expectedKeys(truth, CONTEXT, HORIZON);
    const lines = [
      ...(await forecastLines(out)).map((line) => ({ key: line.id, body: { ...line } })),
      ...(await scoreLines(out)).map((line) => ({ key: `${line.id}.score`, body: { ...line } })),
    ];
    const sinkAccounts = [
      accountMessages('jsonl', lines, expected),
      accountMessages('webhook', receiver.messages, expected),
    ];
    const sizes = await Promise.all(
      [...truth].flatMap(([series, numbers]) =>
        [...numbers.keys()]
          .filter((index) => index >= CONTEXT - 1)
          .map(async (index) => {
            const found = await stat(join(out, `${forecastPath(series, index)}.npy`)).catch(() => undefined);
            return found?.size ?? 0;
          }),
      ),
    );
    const size = Math.max(...sizes);
    const sum = (of: 'missing' | 'repeats' | 'unknown'): number =>
      sinkAccounts.reduce((total, account) => total + account[of], 0);
    return findings(`kill -9 at ${total} instants, ${working} of them while forecasts were delivered`, {
      ...frames,
      missing: sum('missing') + sizes.filter((bytes) => bytes !== size).length,
      repeats: sum('repeats'),
      unknown: sum('unknown'),
      wrong: [...wrong, ...frames.examples, ...sinkAccounts.flatMap(({ examples }) => examples)],
    });
  },
};
