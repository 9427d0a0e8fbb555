import type { Engine } from '../../engine/index.js';
import {
  buildNetwork,
  initialWeights,
  sealedStages,
  type Forecaster,
  type Settings,
} from '../../forecaster/forecaster.js';
import { networkParams } from '../../forecaster/network-functions.js';
import type { Symmetries } from '../../forecaster/symmetries.js';
import {
  loadCheckpoint,
  removeCheckpoint,
  saveCheckpoint,
  type Checkpoint,
} from '../../training/checkpoint.js';
import { averaged, initialSlots, optimiser } from '../../training/optimiser.js';
import { identityOf, settingsOf, trainSchema, withBase, type TrainOptions } from '../../training/options.js';
import { divided, sampleClip } from '../../training/clips.js';
import { fitted, inMemory, longestStretch, type Series } from '../../training/series.js';
import { codeOf } from '../../pipeline/errors.js';
import type { Recording, Replay } from './replay.js';
import { isConserved, isPeriodic, velocityScale } from './what-frames-show.js';

/** Frames that a network stands on at the least: two, for the velocity, and one more to compare inside the context. */
const CONTEXT = 3;
/**
 * Clips of a step. From nothing one learned more in the same time on three of four development runs (offline, spinodal twice,
 * grain growth, dendrite not); what adapts lost by it in one run of the dendrite forecaster.
 */
const [BATCH, ADAPTING_BATCH] = [1, 2];
/** Most pixels a side of what a step learns from: see `mesocast train --crop`. */
const CROP = 128;
/** Leads that steps roll out to, from which clip on. */
const LEADS = [
  { from: 0, leads: 2 },
  { from: 160, leads: 5 },
  { from: 400, leads: 10 },
] as const;
/** Every other step learns from this share of the frames, the newer ones: what a run does changes as it goes on. */
const NEWER = 0.5;
/** The learning rate rises over the first clips, then falls as the square root of their number. */
const [RATE, WARM_UP, SLOWER_FROM] = [2e-3, 60, 400];
/** Going on from weights that are good already. */
const ADAPT_SHARE = 0.3;

/** The learning rate of a step that `clips` came before. */
const rateAfter = (clips: number, { batch, adapting }: { batch: number; adapting: boolean }): number => {
  const rise = Math.min(1, (clips + batch) / WARM_UP);
  return (RATE * (adapting ? ADAPT_SHARE : 1) * rise) / Math.sqrt(1 + clips / SLOWER_FROM);
};

/**
 * A network from nothing, for frames like these: what can be measured of them is not left to chance. `symmetries` cannot: one
 * run looks alike under few of them, whatever its physics.
 */
export const optionsFor = (
  { frames, shape }: Recording,
  seed: number,
  symmetries?: Symmetries,
): TrainOptions =>
  trainSchema.parse({
    out: '',
    name: 'learned',
    channels: shape[2],
    boundary: isPeriodic(frames, shape) ? 'periodic' : 'replicate',
    encoder: 'patch',
    encoderOptions: { patch: 2, velocityScale: velocityScale(frames) },
    predictor: 'resnet',
    predictorOptions: { blocks: 2, channels: 32 },
    decoder: 'patch',
    decoderOptions: { base: 'damped', conserve: isConserved(frames, shape) },
    context: CONTEXT,
    crop: CROP,
    symmetries,
    seed,
  });

/** A training that goes on for as long as frames come. */
export interface Study {
  /** False while there are too few frames for a step. */
  readonly canStep: () => boolean;
  /** One step on clips of what there is to learn from. Gives its loss. */
  step(): Promise<number>;
  /** The averaged weights as they are now. */
  forecaster(training: Record<string, unknown>): Promise<Forecaster>;
  /** All that it takes to go on. */
  save(): Promise<void>;
  /** It is not gone on with, nor what was saved of it. */
  discard(): Promise<void>;
  /** It is not gone on with. */
  dispose(): Promise<void>;
  readonly steps: number;
  /** That those steps have learned from. */
  readonly clips: number;
  /** Clips before which judging it makes no sense: what has not been rolled out far yet goes astray there. */
  readonly judgedFrom: number;
  /** Its weights have seen nothing but these runs. */
  readonly fromNothing: boolean;
}

export interface StudyOptions {
  readonly engine: Engine;
  readonly replay: Replay;
  /** Where its checkpoint is. */
  readonly folder: string;
  /** Frames per lead. */
  readonly stride: number;
  /** What to go on from, or a network of these options from nothing. */
  readonly from: Forecaster | undefined;
  readonly fresh: TrainOptions;
}

/** What a checkpoint is of: the options of the network, the forecaster that it began with, and the stride. */
type Identity = readonly [options: string, from: string | null, stride: number];

/** What was begun in a folder. */
interface Begun {
  readonly checkpoint: Checkpoint;
  readonly options: TrainOptions;
  readonly from: string | null;
  readonly stride: number;
}

const readBegun = async (folder: string): Promise<Begun | undefined> => {
  try {
    const checkpoint = await loadCheckpoint(folder);
    if (checkpoint === undefined) return undefined;
    const [options, from, stride] = JSON.parse(checkpoint.settings) as Identity;
    const known = trainSchema.parse({ ...(JSON.parse(options) as object), out: '' });
    return { checkpoint, options: known, from, stride };
  } catch (error) {
    if (codeOf(error) !== undefined) throw error; // the system could not read it, and may the next time
    return undefined; // damaged, or of a version that had other options: it begins anew
  }
};

/** Hash of the forecaster that the training in a folder goes on from, null for nothing; undefined where there is none. */
export const begunFrom = async (folder: string, stride: number): Promise<string | null | undefined> => {
  const begun = await readBegun(folder);
  return begun?.stride === stride ? begun.from : undefined;
};

/**
 * A checkpoint of the same beginning, with its options: they hold for good, whatever frames have come since. What was asked for
 * otherwise by then is another beginning.
 */
const sameBegun = async (
  folder: string,
  from: string | null,
  stride: number,
  symmetries: Symmetries | undefined,
): Promise<Begun | undefined> => {
  const begun = await readBegun(folder);
  if (begun?.from !== from || begun.stride !== stride) return undefined;
  return (begun.options.symmetries ?? 'all') === (symmetries ?? 'all') ? begun : undefined;
};

/** Begins a training, or goes on with the one in the folder if that has the same beginning. */
export const openStudy = async ({
  engine,
  replay,
  folder,
  stride,
  from,
  fresh,
}: StudyOptions): Promise<Study> => {
  const adapting = from !== undefined;
  const begins = adapting ? withBase(fresh, from.settings) : fresh;
  const known = await sameBegun(folder, from?.id.hash ?? null, stride, begins.symmetries);
  const checkpoint = known?.checkpoint;
  const options = known?.options ?? { ...begins, batch: adapting ? ADAPTING_BATCH : BATCH };
  const { batch } = options;
  const settings = (training: Record<string, unknown>): Settings => settingsOf(options, training);
  const network = await buildNetwork(settings({}));
  const identity: Identity = [identityOf(options), from?.id.hash ?? null, stride];
  const work = optimiser(engine, network, options);
  const weights = from?.weights ?? initialWeights(network, options.seed);
  await work.load(checkpoint?.tensors ?? initialSlots(weights));
  let steps = checkpoint?.iteration ?? 0;

  const latentStride = network.encoder.stride;
  const parts = divided(options, latentStride);
  const usable = (leads: number, share?: number): Series[] =>
    replay
      .training(share === undefined ? undefined : { share, least: options.context + leads })
      .map((recording) => fitted(inMemory(recording, recording.frames), latentStride))
      .filter((one) => longestStretch(one) >= options.context + leads && one.shape[2] === options.channels)
      .filter(({ parameters = {} }) => options.parameters.every(({ name }) => name in parameters));

  return {
    canStep: () => usable(LEADS[0].leads).length > 0,
    step: async () => {
      const wanted = LEADS.findLast((entry) => batch * steps >= entry.from)?.leads ?? 1;
      const leads =
        LEADS.findLast((entry) => entry.leads <= wanted && usable(entry.leads).length > 0)?.leads ?? 1;
      const share = steps % 2 === 1 && usable(leads, NEWER).length > 0 ? NEWER : undefined;
      const clip = await sampleClip(usable(leads, share), parts, steps, leads);
      const loss = await work.step(clip, steps, rateAfter(batch * steps, { batch, adapting }));
      steps++;
      return loss;
    },
    forecaster: async (training) => averaged(await work.read(), settings(training)),
    save: async () => {
      const tensors = await work.read();
      await saveCheckpoint(folder, {
        iteration: steps,
        settings: JSON.stringify(identity),
        progress: { best: null, since: 0 },
        tensors,
      });
    },
    discard: async () => {
      await work.dispose();
      await removeCheckpoint(folder);
    },
    dispose: () => work.dispose(),
    get steps() {
      return steps;
    },
    get clips() {
      return batch * steps;
    },
    fromNothing: !adapting,
    judgedFrom: adapting ? 0 : LEADS[LEADS.length - 1]!.from,
  };
};

/** Not stages that are .onnx files, what feeds its latents back, and a predictor without weights, such as linear prediction. */
export const canLearn = ({ network }: Forecaster): boolean =>
  sealedStages(network).length === 0 &&
  network.feedback === 'frame' &&
  Object.keys(networkParams(network)).some((name) => name.startsWith('predictor.'));
