import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeRecord } from './page.js';
import type { CellResult, CellTask } from './predictors/cell.js';
import { writePredictorsPage, type PredictorsRecord } from './predictors/page.js';
import { fromRoot, loadSystems, simulate, type System } from './systems.js';
import type { BenchOptions, Result, Row } from './table.js';

const RECORD = 'bench/predictors.json';
/** Checkpoints, and series to score on; not committed. */
const WORK = 'runs/predictors';
const CHILD = fileURLToPath(new URL('./predictors/child.js', import.meta.url));
/** CPU seconds of training a cell. */
const BUDGET = 120;
/** Rows and columns of the frames to train on; networks are scored on 64 x 64. */
const SIDE = 48;
/** Series to score on: no training, validation or held-out ones. */
const SCORED = { firstSeed: 8000, series: 8 };

type Options = Readonly<Record<string, unknown>>;
interface Network {
  readonly encoder: string;
  readonly encoderOptions?: Options;
  readonly predictor: string;
  readonly predictorOptions?: Options;
  readonly decoder: string;
  readonly decoderOptions?: Options;
  /** Where it has to be trained in another way than the others. */
  readonly context?: number;
  readonly rate?: number;
  /** Systems that it is made for; default: all. */
  readonly only?: readonly string[];
}

/**
 * Each predictor with the stages that it is used with, in its usual size; the E3D-LSTM smaller, or its compilation alone
 * would take the budget. Linear prediction is for fields that are sums of oscillations; it fits its coefficients to the
 * frames that it is given, so it is given ten, and trains the two weights of its decoder alone.
 */
const PREDICTORS: Readonly<Record<string, Network>> = {
  conv_lstm: { encoder: 'conv', predictor: 'conv_lstm', decoder: 'conv' },
  e3d_lstm: {
    encoder: 'patch',
    encoderOptions: { patch: 4, velocityScale: 0 },
    predictor: 'e3d_lstm',
    predictorOptions: { layers: 2, hidden: 32, kernel: 3, history: 4 },
    decoder: 'patch',
  },
  convnext: { encoder: 'patch', encoderOptions: { patch: 2 }, predictor: 'convnext', decoder: 'patch' },
  resnet: { encoder: 'patch', encoderOptions: { patch: 2 }, predictor: 'resnet', decoder: 'patch' },
  linear_prediction: {
    encoder: 'patch',
    encoderOptions: { patch: 1, velocityScale: 0, space: 'logit' },
    predictor: 'linear_prediction',
    decoder: 'patch',
    decoderOptions: { space: 'logit' },
    context: 10,
    rate: 2e-2,
    only: ['plane_wave'],
  },
};

/** What is known of a system before any training, and the same for all predictors. */
const KNOWN: Readonly<Record<string, Options>> = {
  dendrite: { boundary: 'replicate' },
  spinodal: { boundary: 'periodic', decoderOptions: { conserve: true } },
  grain_growth: { boundary: 'periodic' },
  plane_wave: { boundary: 'replicate', decoderOptions: { base: 'velocity' } },
};

const trainingOf = (
  name: string,
  { simulation, options, range }: System,
  { only: _, ...network }: Network,
): Options => ({
  simulation,
  simulationOptions: { ...options, height: SIDE, width: SIDE },
  ...(range !== undefined && { range }),
  series: 24,
  frames: 60,
  validation: 1,
  firstSeed: 1000,
  context: 4,
  leads: 10,
  horizon: 10,
  batch: 4,
  rate: 2e-3,
  device: 'cpu',
  threads: 1,
  ...KNOWN[name],
  ...network,
});

/** Runs a cell in a process of its own; undefined if it was stopped. A signal to this process is one to it. */
const runCell = async (task: CellTask): Promise<CellResult | undefined> => {
  const child = spawn(process.execPath, [CHILD, JSON.stringify(task)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.on('data', (bytes: Buffer) => (text += bytes.toString()));
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
  process.on('SIGINT', pass).on('SIGTERM', pass);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject).on('close', resolve);
  });
  process.off('SIGINT', pass).off('SIGTERM', pass);
  if (code !== 0) throw new Error(`training in ${task.folder} failed`);
  return (JSON.parse(text) as CellResult | null) ?? undefined;
};

const readRecord = async (budget: number): Promise<PredictorsRecord> => {
  const path = fromRoot(RECORD);
  if (!existsSync(path)) return { budget, cells: {} };
  const record = JSON.parse(await readFile(path, 'utf8')) as PredictorsRecord;
  return record.budget === budget ? record : { budget, cells: {} };
};

const rowsOf = ({ cells }: PredictorsRecord): Row[][] =>
  Object.entries(cells).map(([system, row]) =>
    Object.entries(row).map(([predictor, cell]) => [
      `${system}, ${predictor}`,
      {
        steps: cell.iterations,
        'CPU s': cell.cpuSeconds,
        'mean skill': cell.meanSkill,
        'at 10': cell.skill[9],
        'at 50': cell.skill[49],
        weights: cell.weights,
        'CPU ms a forecast': cell.forecastMs,
      },
    ]),
  );

/**
 * Predictors x systems at one equal budget of training. Each cell's result is kept in bench/predictors.json as soon as
 * it is there; the same command goes on with those that are missing, an interrupted one from its checkpoint. Another
 * --budget begins anew.
 */
export const benchPredictors = async ({
  budget = BUDGET,
  systems: some,
  note,
}: BenchOptions): Promise<Result> => {
  const { heldOut, systems } = await loadSystems();
  const { context, horizon } = heldOut;
  let record = await readRecord(budget);
  const finish = async (): Promise<Result> => {
    await writePredictorsPage(record, Object.keys(systems), Object.keys(PREDICTORS));
    return { tables: rowsOf(record), figures: {} };
  };
  for (const [name, system] of Object.entries(systems)) {
    if (some.length > 0 && !some.includes(name)) continue;
    const folder = fromRoot(join(WORK, `${budget}`, name));
    const data = join(folder, 'scored');
    for (const [predictor, network] of Object.entries(PREDICTORS)) {
      if (network.only?.includes(name) === false || record.cells[name]?.[predictor] !== undefined) continue;
      note(`${name}, ${predictor}: ${budget} CPU seconds of training`);
      await mkdir(folder, { recursive: true });
      if (!existsSync(data)) {
        const making = `${data}.part`;
        await rm(making, { recursive: true, force: true });
        simulate(system, { ...SCORED, frames: context + horizon, size: '64' }, making);
        await rename(making, data);
      }
      const result = await runCell({
        training: { ...trainingOf(name, system, network), name: predictor },
        budget,
        folder: join(folder, predictor),
        scored: { data, range: system.range, context, horizon },
      });
      if (result === undefined) {
        note('stopped: the same command goes on from here');
        return finish();
      }
      record = {
        budget,
        cells: { ...record.cells, [name]: { ...record.cells[name], [predictor]: result } },
      };
      await writeRecord(RECORD, record);
    }
  }
  return finish();
};
