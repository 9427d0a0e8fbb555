import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { attachSchema } from '../pipeline/config/config.js';
import { StartupError, UsageError } from '../pipeline/errors.js';
import type { Forecast } from '../pipeline/forecast.js';
import { sizeOf } from '../pipeline/frame.js';
import { writePicture } from '../pipeline/images/picture.js';
import { createPlugin } from '../pipeline/plugins/registry.js';
import type { Command } from './command.js';
import { text } from './command.js';
import { follow, followedLines } from './follow.js';

/** Enough for a context of 10, 50 leads, and final scores of the first forecasts. */
const FRAMES = 75;
const HORIZON = 50;
const RATE = 4;
const PICTURE_LEADS = [1, 5, 10, 20, 30, 40, 50];
/** Not among the seeds that the shipped forecaster was trained on. */
const SEED = 900_001;
/** Marks a folder as the demo's own, so that a second demo may clear it. */
const MARKER = '.mesocast-demo';

const prepare = async (folder: string): Promise<void> => {
  const names = existsSync(folder) ? await readdir(folder) : [];
  if (names.length > 0 && !names.includes(MARKER)) {
    throw new UsageError(`${folder} is not empty and not of an earlier demo`, { hint: 'give another --dir' });
  }
  for (const name of ['frames', 'out', 'forecast.png'])
    await rm(join(folder, name), { recursive: true, force: true });
  await mkdir(join(folder, 'frames'), { recursive: true });
  await writeFile(
    join(folder, MARKER),
    'Made by `mesocast demo`, which clears this folder when it runs again.\n',
  );
};

interface Child {
  readonly finished: Promise<void>;
  stop(): void;
}

/** The simulation as its own process, as a user's would be: all that connects it with the forecasts is the folder. */
const startSimulation = (args: readonly string[]): Child => {
  const main = fileURLToPath(new URL('./main.js', import.meta.url));
  // Its own process group, so that Ctrl-C reaches us alone and the order of stopping is ours.
  const child = spawn(process.execPath, [main, ...args, '--json'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  });
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
  const finished = new Promise<void>((done, fail) => {
    child.on('error', fail);
    child.on('close', (code, signal) => {
      if (code === 0 || signal !== null) done();
      else fail(new StartupError(`the demo's simulation ended with exit code ${code}: ${complaint.trim()}`));
    });
  });
  return { finished, stop: () => child.kill('SIGTERM') };
};

/** The paper's picture: predicted frames over what came, for the last forecast whose leads have all come true. */
const drawPicture = async (path: string, forecast: Forecast, frames: string): Promise<void> => {
  const codec = await createPlugin('codec', 'png', {}, undefined);
  const read = async (index: number): Promise<Float32Array> => {
    const file = join(frames, `frame_${String(index).padStart(6, '0')}.png`);
    return (await codec.decode(await readFile(file))).data;
  };
  const size = sizeOf(forecast.shape);
  await writePicture(path, {
    context: await read(forecast.index),
    leads: PICTURE_LEADS,
    predicted: PICTURE_LEADS.map((lead) => forecast.frames.subarray((lead - 1) * size, lead * size)),
    truth: await Promise.all(PICTURE_LEADS.map((lead) => read(forecast.index + lead))),
    shape: forecast.shape,
    normalisation: forecast.normalisation,
  });
};

export const demoCommand: Command = {
  usage: 'demo',
  summary:
    'Start a dendritic-growth simulation, attach to its frames, forecast them while it runs, and show how good that was',
  examples: [
    ['mesocast demo', 'about a minute; everything is written to ./demo'],
    ['mesocast demo --dir dendrite --json', 'elsewhere, with the numbers as JSON'],
  ],
  declare: (yargs) =>
    yargs.option('dir', {
      type: 'string',
      requiresArg: true,
      default: 'demo',
      describe: 'where everything is written',
    }),
  run: async (args, ui) => {
    const folder = resolve(text(args, 'dir') ?? 'demo');
    const [frames, out, picture] = ['frames', 'out', 'forecast.png'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    await prepare(folder);
    const shown = (path: string): string => relative('', path) || '.';

    const simulation = [
      'simulate',
      'dendrite',
      '--out',
      frames,
      '--frames',
      String(FRAMES),
      '--rate',
      String(RATE),
      '--seed',
      String(SEED),
    ];
    ui.say(
      `A simulation writes ${FRAMES} frames of a growing dendrite into ${shown(frames)}, ${RATE} a second;`,
    );
    ui.say(
      `mesocast attach ${shown(frames)} --out ${shown(out)} --forecaster dendrite --learn off --horizon ${HORIZON} forecasts from each.`,
    );
    const child = startSimulation(simulation);
    // A simulation that dies leaves the run idle, which ends it; its error is reported below.
    const ended = child.finished.then(
      () => undefined,
      (error: unknown) => error,
    );
    /** Forecasts whose leads have not all come true, by the number of their frame; and the last one of which they have. */
    const waiting = new Map<number, Forecast>();
    let best: Forecast | undefined;
    try {
      const { shippedFolder } = await import('../forecaster/folder.js');
      const config = attachSchema.parse({
        directory: frames,
        out,
        forecaster: shippedFolder('dendrite'),
        learn: 'off',
        horizon: HORIZON,
        frames: FRAMES,
        untilIdle: 20,
      });
      const followed = await follow(config, ui, {
        watch: (event) => {
          if (event.type === 'forecast') waiting.set(event.forecast.index, event.forecast);
          if (event.type !== 'score') return;
          const { index, status } = event.score;
          if (status === 'final') best = waiting.get(index);
          waiting.delete(index);
        },
      });
      child.stop();
      const failure = await ended;
      if (failure !== undefined) throw failure;
      const scored = followed.scores.final > 0 && best !== undefined;
      if (best) await drawPicture(picture, best, frames);
      ui.result({ ...followed, folder, directory: frames, picture: best ? picture : null }, [
        '',
        ...followedLines({ ...followed, out: shown(out) }),
        ...(best
          ? [`picture    ${shown(picture)}: forecast from frame ${best.index} (P) over what came (G)`]
          : []),
        `scores     ${shown(join(out, 'scores.jsonl'))}`,
        '',
        "Next: attach to your own frames (any program's PNG, TIFF or NPY files, one per frame):",
        '  npx mesocast attach PATH/TO/FRAMES --out forecasts',
        '  npx mesocast attach --help',
      ]);
      if (!scored) ui.warn('nothing was scored: the run was stopped before its forecasts came true');
      return scored ? 0 : 1;
    } finally {
      child.stop();
    }
  },
};
