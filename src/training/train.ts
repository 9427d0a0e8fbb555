import { mkdir } from 'node:fs/promises';
import { z } from 'zod';
import { openEngine, type Engine, type Handle, type Named, type Program } from '../engine/index.js';
import {
  assemble,
  buildNetwork,
  initialWeights,
  settingsSchema,
  type Forecaster,
  type Settings,
} from '../forecaster/forecaster.js';
import { saveForecaster } from '../forecaster/folder.js';
import { createRunner } from '../forecaster/programs.js';
import type { Network } from '../forecaster/network-functions.js';
import type { Weight } from '../forecaster/safetensors.js';
import { messageOf, StartupError, UsageError } from '../pipeline/errors.js';
import { fit, fittedShape } from '../pipeline/fit.js';
import { describeShape } from '../pipeline/frame.js';
import { sampleClip } from './clips.js';
import { loadCheckpoint, saveCheckpoint, type Checkpoint } from './checkpoint.js';
import { scoreSeries, skills } from './score-series.js';
import { loadSeries, simulateSeries, type Series } from './series.js';
import { debiases, slotName, SLOTS, trainSpecs, trainStep, type ClipShape } from './train-step.js';

const count = z.number().int().positive();

/** What `mesocast train` can be told, with its defaults. */
export const trainSchema = z.strictObject({
  data: z
    .array(z.string())
    .default([])
    .describe('folders of frames; each folder with frames, at any depth, is a series'),
  simulation: z.string().optional().describe('train on this simulation instead of folders'),
  simulationOptions: z.record(z.string(), z.unknown()).default({}).describe('options of the simulation'),
  series: count.default(64).describe('series to simulate'),
  frames: count.default(70).describe('frames of each simulated series'),
  firstSeed: z
    .number()
    .int()
    .nonnegative()
    .default(1000)
    .describe('seed of the first simulated series; the others follow'),
  validation: count.default(4).describe('series kept apart to judge by; the last ones'),
  out: z.string().describe('folder of the forecaster'),
  name: settingsSchema.shape.name.default('forecaster').describe('what the forecaster is called'),
  encoder: z.string().default('conv').describe('encoder plugin'),
  predictor: z.string().default('conv_lstm').describe('predictor plugin'),
  decoder: z.string().default('conv').describe('decoder plugin'),
  encoderOptions: z.record(z.string(), z.unknown()).default({}),
  predictorOptions: z.record(z.string(), z.unknown()).default({}),
  decoderOptions: z.record(z.string(), z.unknown()).default({}),
  channels: count.default(1).describe('channels of a frame: 1 for grey, 3 for colour'),
  boundary: z
    .enum(['periodic', 'replicate', 'zero'])
    .default('replicate')
    .describe('what lies beyond the edge of a frame'),
  range: z.tuple([z.number(), z.number()]).optional().describe('values that normalise to 0 and 1'),
  context: z.number().int().min(2).default(10).describe('frames a forecast stands on'),
  leads: count.default(20).describe('leads that the last part of training rolls out to'),
  horizon: count.default(50).describe('leads that validation looks at'),
  iterations: count.default(2000).describe('training steps'),
  batch: count.default(4).describe('clips per step'),
  rate: z
    .number()
    .positive()
    .default(1e-3)
    .describe('highest learning rate; it rises over the first 5 % and falls as a cosine'),
  seed: z.number().int().default(1).describe('of the first weights and of the clips'),
  validateEvery: count.default(200).describe('steps between validations and checkpoints'),
  fresh: z.boolean().default(false).describe('begin anew even if OUT has a checkpoint'),
  device: z
    .string()
    .default('auto')
    .describe('auto, cpu, cuda, webgpu, ... (see `mesocast doctor`), reference, tensorflow'),
  threads: count.optional().describe('CPU threads for the engine; default: all cores'),
});
export type TrainOptions = z.output<typeof trainSchema>;

export type TrainEvent =
  | { readonly type: 'notice'; readonly message: string }
  | {
      readonly type: 'step';
      readonly iteration: number;
      readonly iterations: number;
      readonly leads: number;
      readonly loss: number;
      readonly stepsPerSecond: number;
      readonly secondsLeft: number;
    }
  | {
      readonly type: 'validation';
      readonly iteration: number;
      readonly skill: readonly number[];
      readonly meanSkill: number;
    };

export interface TrainResult {
  readonly out: string;
  readonly iterations: number;
  readonly seconds: number;
  /** Last validation: skill per lead, and its mean. */
  readonly skill: readonly number[];
  readonly meanSkill: number;
  /** True when the signal stopped it before the last step; the checkpoint has what was done. */
  readonly interrupted: boolean;
}

/** Parts of the training that forecast further and further: share of the steps, share of the leads. */
const CURRICULUM = [
  { until: 0.2, leads: 0.2 },
  { until: 0.4, leads: 0.5 },
  { until: 1, leads: 1 },
] as const;

const leadsAt = (iteration: number, { iterations, leads }: TrainOptions): number => {
  const part = CURRICULUM.find(({ until }) => iteration < until * iterations) ?? CURRICULUM[2];
  return Math.max(1, Math.round(part.leads * leads));
};

const WARM_UP = 0.05;
const rateAt = (iteration: number, { iterations, rate }: TrainOptions): number => {
  const rise = Math.min(1, (iteration + 1) / (WARM_UP * iterations));
  return rate * rise * (0.02 + 0.98 * 0.5 * (1 + Math.cos((Math.PI * iteration) / iterations)));
};

/** Decay of the average of weights: short at first, so that the average leaves the random weights behind. */
const LONGEST_AVERAGE = 0.995;
const decayAt = (iteration: number): number => Math.min(LONGEST_AVERAGE, (1 + iteration) / (10 + iteration));

const gather = async (options: TrainOptions, notice: (message: string) => void): Promise<Series[]> => {
  const { simulation, channels, context, range, data } = options;
  if ((simulation === undefined) === (data.length === 0)) {
    throw new UsageError('give folders of frames, or a simulation by name, to train on');
  }
  if (simulation === undefined) return loadSeries(data, { channels, context, range });
  const seeds = Array.from({ length: options.series + options.validation }, (_, k) => options.firstSeed + k);
  notice(
    `simulating ${seeds.length} series of ${options.frames} frames (${simulation}, seeds ${seeds[0]} to ${seeds.at(-1)})`,
  );
  return simulateSeries(simulation, options.simulationOptions, seeds, options.frames, {
    channels,
    context,
    range,
  });
};

/** Training series, as the network takes them, and validation series. @throws UsageError when there are too few, or none is long enough, or sizes differ */
const divide = (
  all: readonly Series[],
  options: TrainOptions,
  latentStride: number,
): { training: Series[]; validation: Series[] } => {
  const { validation, context, leads } = options;
  if (all.length <= validation) {
    throw new UsageError(`${all.length} series are too few to keep ${validation} apart for validation`, {
      hint: 'give more folders, or a smaller --validation',
    });
  }
  const training = all.slice(0, -validation);
  const shape = describeShape((training[0] as Series).shape);
  const odd = all.find((series) => describeShape(series.shape) !== shape);
  if (odd !== undefined)
    throw new UsageError(`series ${odd.name} is ${describeShape(odd.shape)}, the others are ${shape}`, {
      hint: 'train on frames of one size',
    });
  if (!training.some(({ frames }) => frames.length >= context + leads)) {
    throw new UsageError(
      `no series has the ${context + leads} frames that --context ${context} and --leads ${leads} need`,
      { hint: 'lower --leads' },
    );
  }
  return {
    training: training.map((series) => ({
      ...series,
      shape: fittedShape(series.shape, latentStride),
      frames: series.frames.map((frame) => fit(frame, series.shape, latentStride)),
    })),
    validation: all.slice(-validation),
  };
};

const settingsOf = (options: TrainOptions, training: Record<string, unknown>): Settings =>
  settingsSchema.parse({
    format: 1,
    name: options.name,
    encoder: { name: options.encoder, options: options.encoderOptions },
    predictor: { name: options.predictor, options: options.predictorOptions },
    decoder: { name: options.decoder, options: options.decoderOptions },
    channels: options.channels,
    boundary: options.boundary,
    context: options.context,
    training,
  });

/** What must be the same for a checkpoint to be gone on from: everything that decides the steps. */
const identityOf = ({
  out: _o,
  fresh: _f,
  device: _d,
  threads: _t,
  validateEvery: _v,
  horizon: _h,
  ...rest
}: TrainOptions): string => JSON.stringify(rest);

/** All slots on the device, and the program of the current number of leads. */
const optimiser = (engine: Engine, network: Network, options: TrainOptions, frame: Series['shape']) => {
  let slots: Record<string, Handle> = {};
  let program: { leads: number; program: Program } | undefined;
  let names: string[] = [];
  const clipShape = (leads: number): ClipShape => ({
    batch: options.batch,
    context: options.context,
    leads,
    frame,
  });
  const scalar = (value: number) => ({ shape: [], dtype: 'float32' as const, data: Float32Array.of(value) });

  const load = async (tensors: Named<Weight>): Promise<void> => {
    names = Object.keys(tensors)
      .filter((name) => name.startsWith('weight.'))
      .map((name) => name.slice('weight.'.length))
      .sort(); // sums over all weights must not depend on where the weights come from
    for (const [name, { shape, data }] of Object.entries(tensors))
      slots[name] = await engine.upload({ shape, data, dtype: 'float32' });
  };
  const compiled = async (leads: number): Promise<Program> => {
    if (program?.leads !== leads) {
      await program?.program.dispose();
      const shape = clipShape(leads);
      const weights = Object.fromEntries(
        names.map((name) => [name, slots[slotName('weight', name)] as Handle]),
      );
      program = {
        leads,
        program: await engine.compile(trainStep(network, names, shape), trainSpecs(weights, shape)),
      };
    }
    return program.program;
  };
  const read = async (): Promise<Record<string, Weight>> => {
    const entries = Object.entries(slots).map(async ([name, handle]) => {
      const { shape, data } = await engine.read(handle);
      return [name, { shape, data: data as Float32Array }] as const;
    });
    return Object.fromEntries(await Promise.all(entries));
  };
  const step = async (series: readonly Series[], iteration: number): Promise<number> => {
    const leads = leadsAt(iteration, options);
    const { debias1, debias2 } = debiases(iteration + 1);
    const { loss, gradient, ...next } = await (
      await compiled(leads)
    ).run({
      clip: sampleClip(series, clipShape(leads), options.seed, iteration),
      rate: scalar(rateAt(iteration, options)),
      debias1: scalar(debias1),
      debias2: scalar(debias2),
      decay: scalar(decayAt(iteration)),
      ...slots,
    });
    for (const handle of Object.values(slots)) handle.release();
    slots = next;
    const { data } = await engine.read(loss as Handle);
    loss?.release();
    gradient?.release();
    return data[0] as number;
  };
  return { load, read, step };
};

const initialSlots = (weights: Named<Weight>): Record<string, Weight> =>
  Object.fromEntries(
    Object.entries(weights).flatMap(([name, { shape, data }]) =>
      SLOTS.map(
        (slot) =>
          [
            slotName(slot, name),
            { shape, data: slot === 'weight' || slot === 'average' ? data : new Float32Array(data.length) },
          ] as const,
      ),
    ),
  );

/** The forecaster that training would give now: the averaged weights. */
const averaged = (slots: Named<Weight>, settings: Settings): Promise<Forecaster> =>
  assemble(
    settings,
    Object.fromEntries(
      Object.entries(slots)
        .filter(([name]) => name.startsWith('average.'))
        .map(([name, weight]) => [name.slice('average.'.length), weight]),
    ),
  );

/** OUT's checkpoint, if this training can go on from it. Makes OUT. */
const takeUp = async (
  options: TrainOptions,
  network: Network,
  identity: string,
): Promise<Checkpoint | undefined> => {
  const { out, fresh } = options;
  await mkdir(out, { recursive: true }).catch((cause: unknown) => {
    throw new StartupError(`cannot write to ${out}: ${messageOf(cause)}`, { cause });
  });
  const checkpoint = fresh ? undefined : await loadCheckpoint(out);
  if (checkpoint === undefined) return undefined;
  const other = (why: string): UsageError =>
    new UsageError(`${out} has a checkpoint of a training with ${why}`, {
      hint: 'give the same options to go on with it, --fresh to begin anew, or another --out',
    });
  if (checkpoint.settings !== identity) throw other('other options');
  const shapesOf = (tensors: Named<Weight>): string =>
    JSON.stringify(
      Object.entries(tensors)
        .map(([name, { shape }]) => [name, ...shape])
        .sort(),
    );
  if (shapesOf(checkpoint.tensors) !== shapesOf(initialSlots(initialWeights(network, options.seed))))
    throw other('another network');
  return checkpoint;
};

/**
 * Trains a forecaster and writes its folder, at every validation a usable one. Deterministic from the seed on one
 * device and number of threads; goes on from OUT's checkpoint if there is one. Aborting the signal ends it after the
 * step in progress, with a checkpoint.
 * @throws UsageError for unusable options or data, StateError for a checkpoint of other options
 */
export const train = async (
  options: TrainOptions,
  emit: (event: TrainEvent) => void,
  signal: AbortSignal,
): Promise<TrainResult> => {
  const notice = (message: string): void => emit({ type: 'notice', message });
  // What can be wrong with the options is found before time is spent on the data.
  const network = await buildNetwork(settingsOf(options, {}));
  const identity = identityOf(options);
  const checkpoint = await takeUp(options, network, identity);
  const { training, validation } = divide(await gather(options, notice), options, network.encoder.stride);
  const engine = await openEngine(options.device, options.threads);
  try {
    const work = optimiser(engine, network, options, (training[0] as Series).shape);
    await work.load(checkpoint?.tensors ?? initialSlots(initialWeights(network, options.seed)));
    const first = checkpoint?.iteration ?? 0;
    notice(
      `${first > 0 ? `going on from step ${first} ` : ''}on ${engine.device}, ${training.length} series, ${validation.length} kept apart`,
    );

    const started = performance.now();
    const seconds = (): number => (performance.now() - started) / 1000;
    let judged: { skill: number[]; meanSkill: number } = { skill: [], meanSkill: 0 };
    const judge = async (iteration: number): Promise<void> => {
      const tensors = await work.read();
      await saveCheckpoint(options.out, { iteration, settings: identity, tensors });
      const runner = await createRunner(await averaged(tensors, settingsOf(options, {})), engine);
      const sums = await scoreSeries(runner, validation, {
        context: options.context,
        horizon: options.horizon,
        every: 10,
        latentStride: network.encoder.stride,
      });
      await runner.dispose();
      if (sums.windows > 0) {
        const skill = skills(sums);
        judged = { skill, meanSkill: skill.reduce((a, b) => a + b, 0) / skill.length };
        emit({ type: 'validation', iteration, ...judged });
      } else {
        notice(
          `validation series are shorter than context + horizon (${options.context} + ${options.horizon}): nothing to judge by`,
        );
      }
      const record = {
        iterations: iteration,
        options: JSON.parse(identity) as unknown,
        validation: { meanSkill: judged.meanSkill, skill: judged.skill },
      };
      await saveForecaster(options.out, await averaged(tensors, settingsOf(options, record)));
    };

    let iteration = first;
    while (iteration < options.iterations && !signal.aborted) {
      const loss = await work.step(training, iteration);
      iteration++;
      const stepsPerSecond = (iteration - first) / seconds();
      const secondsLeft = (options.iterations - iteration) / stepsPerSecond;
      emit({
        type: 'step',
        iteration,
        iterations: options.iterations,
        leads: leadsAt(iteration - 1, options),
        loss,
        stepsPerSecond,
        secondsLeft,
      });
      if (!Number.isFinite(loss))
        throw new UsageError(`the loss became ${loss} at step ${iteration}`, { hint: 'lower --rate' });
      if (iteration % options.validateEvery === 0 && iteration < options.iterations && !signal.aborted)
        await judge(iteration);
    }
    await judge(iteration);
    return {
      out: options.out,
      iterations: iteration,
      seconds: seconds(),
      ...judged,
      interrupted: iteration < options.iterations,
    };
  } finally {
    await engine.dispose();
  }
};
