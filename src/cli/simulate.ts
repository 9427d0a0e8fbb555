import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Parser } from 'yargs/helpers';
import { z } from 'zod';
import { writeAtomically } from '../pipeline/atomic.js';
import { UsageError } from '../pipeline/errors.js';
import type { SampleType } from '../pipeline/frame.js';
import { kebab, optionsOf } from '../pipeline/config/options.js';
import type { OptionInfo } from '../pipeline/config/options.js';
import { createPlugin, loadPlugin } from '../pipeline/plugins/registry.js';
import { PARAMETERS } from '../pipeline/intake/run-parameters.js';
import { startSimulation } from '../simulation/start.js';
import type { Args, Command } from './command.js';
import { declareOptions, given, parseFlags } from './command.js';
import { prepareFolder, writeFrame } from './frame-writer.js';
import type { FrameFormat } from './frame-writer.js';
import { abortOnStopSignal } from './signals.js';
import type { Progress, Ui } from './ui.js';

const BITS: Readonly<Record<number, SampleType>> = { 8: 'uint8', 16: 'uint16', 32: 'float32' };

const schema = z.strictObject({
  out: z.string().default('frames').describe('folder to write into'),
  frames: z.number().int().positive().default(70).describe('frames of each series, the initial state first'),
  size: z
    .string()
    .regex(/^\d+(x\d+)?$/, 'allowed is a size in pixels: 64, or 64x96 (rows x columns)')
    .optional()
    .describe("pixels: 64, or 64x96 (rows x columns); default: the simulation's"),
  format: z.enum(['png', 'tiff', 'npy', 'vti']).default('png').describe('file format'),
  bits: z
    .union([z.literal(8), z.literal(16), z.literal(32)])
    .optional()
    .describe('per sample; 32 is float, in physical values; default: png 16, the others 32'),
  rate: z.number().positive().optional().describe('frames per second; default: as fast as it goes'),
  inPlace: z
    .boolean()
    .default(false)
    .describe('write files in pieces under their final name instead of renaming them into place'),
  count: z
    .number()
    .int()
    .positive()
    .optional()
    .describe('this many series, in OUT/series_000 and so on, with seeds counting up'),
  overwrite: z.boolean().default(false).describe('replace frames that are there already'),
});
const ownOptions = optionsOf(schema);
type Settings = z.output<typeof schema>;

/** What a simulation can be told beyond what every one of them takes. */
const simulationOptions = async (name: string): Promise<OptionInfo[]> => {
  const plugin = await loadPlugin('simulation', name);
  const taken = new Set(ownOptions.map((option) => option.name));
  return optionsOf(plugin.options).filter((option) => !taken.has(option.name));
};

const formatOf = async ({ format, bits, inPlace, rate }: Settings): Promise<FrameFormat> => {
  const sampleType = BITS[bits ?? (format === 'png' ? 16 : 32)] ?? 'float32';
  if (format === 'png' && sampleType === 'float32') {
    throw new UsageError('--bits is 32: a PNG holds 8 or 16 bits', {
      hint: 'use --format tiff, npy or vti',
    });
  }
  const codec = await createPlugin('codec', format, {}, undefined);
  const tornMs = inPlace ? Math.min(100, 1000 / (rate ?? 20) / 6) : undefined;
  return { codec, extension: codec.extensions[0] ?? `.${format}`, sampleType, tornMs };
};

/** The simulation's options: its own flags, and `--size` as its height and width. */
const optionsFor = (
  name: string,
  known: readonly OptionInfo[],
  args: Args,
  { size }: Settings,
): Record<string, unknown> => {
  const options = given(args, known);
  if (size === undefined) return options;
  const names = known.map((option) => option.name);
  if (!names.includes('height') || !names.includes('width')) {
    throw new UsageError(`--size: the simulation ${name} has no height and width`, {
      hint: `it takes ${names.map((n) => `--${kebab(n)}`).join(', ')}`,
    });
  }
  const twice = ['height', 'width'].find((one) => options[one] !== undefined);
  if (twice !== undefined) throw new UsageError(`--size and --${twice} say the same: give one of them`);
  const [height = 0, width = height] = size.split('x').map(Number);
  return { ...options, height, width };
};

interface Series {
  readonly folder: string;
  readonly options: Readonly<Record<string, unknown>>;
}

/** The series to make, with the seed that each is made from. */
const seriesOf = (
  name: string,
  known: readonly OptionInfo[],
  options: Record<string, unknown>,
  { out, count }: Settings,
): Series[] => {
  if (count === undefined) return [{ folder: resolve(out), options }];
  const seedOption = known.find((option) => option.name === 'seed');
  if (!seedOption)
    throw new UsageError(`--count: the simulation ${name} takes no seed, so all series would be the same`);
  const first = Number(options.seed ?? seedOption.default ?? 0);
  return Array.from({ length: count }, (_, k) => ({
    folder: resolve(join(out, `series_${String(k).padStart(3, '0')}`)),
    options: { ...options, seed: first + k },
  }));
};

const run = async (args: Args, ui: Ui): Promise<number> => {
  const name = String(args.simulation);
  const settings = parseFlags(schema, given(args, ownOptions));
  const known = await simulationOptions(name);
  const format = await formatOf(settings);
  const all = seriesOf(name, known, optionsFor(name, known, args, settings), settings);
  // What is wrong with the options is found before a folder is touched, and folders in the way before a frame is made.
  let simulation = await startSimulation(name, all[0]?.options ?? {});
  const { shape } = simulation;
  for (const { folder } of all) await prepareFolder(folder, settings.overwrite);

  const { signal, release } = abortOnStopSignal();
  const progress: Progress = ui.progress('frames', settings.frames * all.length);
  const start = performance.now();
  let written = 0;
  try {
    for (const [k, { folder, options }] of all.entries()) {
      if (signal.aborted) break;
      if (k > 0) simulation = await startSimulation(name, options);
      // Before the first frame: whoever sees that finds them.
      if (simulation.parameters !== undefined)
        await writeAtomically(
          join(folder, PARAMETERS),
          Buffer.from(`${JSON.stringify(simulation.parameters, undefined, 2)}\n`),
        );
      for (let index = 0; index < settings.frames; index++) {
        // By the clock, not by the last frame: a slow frame does not slow down the whole.
        const due =
          settings.rate === undefined ? 0 : start + (written * 1000) / settings.rate - performance.now();
        if (due > 0) await pause(due, undefined, { signal }).catch(() => undefined);
        if (signal.aborted) break;
        const frame = { shape: simulation.shape, range: simulation.range, data: simulation.next() };
        await writeFrame(folder, index, frame, format);
        progress.update(++written, folder);
      }
    }
  } finally {
    progress.stop();
    release();
  }
  const seconds = Number(((performance.now() - start) / 1000).toFixed(3));
  const out = resolve(settings.out);
  ui.result(
    {
      simulation: name,
      out,
      series: all.length,
      frames: written,
      shape,
      seconds,
      stopped: signal.aborted,
    },
    [
      `${signal.aborted ? 'stopped: ' : ''}${written} frames of ${shape.join('x')} in ${out}${settings.count === undefined ? '' : ` (${settings.count} series)`}, ${seconds.toFixed(1)} s`,
    ],
  );
  return 0;
};

/** The simulation in a command line, behind the command's name; options may be before either. */
const namedIn = (line: readonly string[]): string | undefined => {
  const own = ownOptions.filter(({ type }) => type === 'boolean').map(({ name }) => kebab(name));
  const { _: words } = Parser([...line], {
    boolean: ['json', 'debug', 'help', 'h', ...own],
    string: ['_'],
  });
  return words[1] === undefined ? undefined : String(words[1]);
};

export const simulateCommand: Command = {
  usage: 'simulate <simulation>',
  summary: 'Run a simulation that writes frames into a folder',
  examples: [
    [
      'mesocast simulate dendrite --out frames --frames 70 --size 64 --rate 4',
      'four frames a second, as if it ran live',
    ],
    ['mesocast simulate dendrite --out data --count 8 --seed 100', 'eight series, with seeds 100 to 107'],
    ['mesocast simulate ./my-simulation.mjs --format npy', 'your own, as float32 arrays'],
  ],
  declare: async (yargs, line) => {
    yargs.positional('simulation', {
      type: 'string',
      demandOption: true,
      describe: 'dendrite, spinodal, grain_growth or plane_wave, a file or a package',
    });
    declareOptions(yargs, ownOptions);
    // Its flags come from the simulation's own schema: it has to be known before the line can be parsed.
    const name = namedIn(line) ?? 'dendrite';
    return declareOptions(yargs, await simulationOptions(name), `Options of ${name}:`);
  },
  run,
};
