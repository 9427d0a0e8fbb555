import type { HostTensor, TensorFunction } from '../../src/engine/types.js';
import { assemble, buildNetwork, initialWeights, type Forecaster } from '../../src/forecaster/forecaster.js';
import { MesocastError } from '../../src/pipeline/errors.js';
import { builtInNames, loadPlugin } from '../../src/pipeline/plugins/registry.js';
import { debiases, slotName, trainSpecs, trainStep } from '../../src/training/train-step.js';
import { randomTensor } from './engine-compare.js';
import { movingField, tinySettings } from './tiny.js';

type Named = readonly [name: string, forecaster: Forecaster];
/** Options by which some network is made small. */
const SMALL = { layers: 1, depth: 1, blocks: 1, hidden: 8, channels: 8, width: 8, latent: 8 };
const stageOf = async (kind: 'encoder' | 'predictor' | 'decoder', name: string) => {
  const { options } = await loadPlugin(kind, name);
  return { name, options: Object.fromEntries(Object.entries(SMALL).filter(([key]) => key in options.shape)) };
};

/** All weights are stirred: a stage that starts as an identity, or at zero, would hide what is before it. */
const forecasterOf = async (encoder: string, predictor: string, decoder: string): Promise<Named[]> => {
  const settings = tinySettings({
    encoder: await stageOf('encoder', encoder),
    predictor: await stageOf('predictor', predictor),
    decoder: await stageOf('decoder', decoder),
  });
  const name = [encoder, predictor, decoder].join(', ');
  try {
    const weights = Object.entries(initialWeights(await buildNetwork(settings), 1)).map(
      ([weight, { shape, data }], seed) => {
        const noise = randomTensor(shape, seed, 0.03).data;
        return [weight, { shape, data: data.map((value, k) => value + (noise[k] as number)) }] as const;
      },
    );
    return [[name, await assemble(settings, Object.fromEntries(weights))]];
  } catch (error) {
    if (error instanceof MesocastError) return []; // stages that do not fit each other, or need to be told something
    throw error;
  }
};

/** A small forecaster of each encoder, predictor and decoder that fit each other. */
export const everyNetwork = async (): Promise<readonly Named[]> => {
  const found = builtInNames('encoder').flatMap((encoder) =>
    builtInNames('predictor').flatMap((predictor) =>
      builtInNames('decoder').map((decoder) => forecasterOf(encoder, predictor, decoder)),
    ),
  );
  return (await Promise.all(found)).flat();
};

/**
 * A training step of a forecaster with what goes into it: two clips of 8 x 8 pixels. It is in the middle of a training,
 * where the moments are not zero: Adam's first step has the sign of the gradient alone, and turns the smallest difference
 * into a large one.
 */
export const trainingStepOf = ({
  network,
  weights,
}: Forecaster): { readonly fn: TensorFunction; readonly given: Readonly<Record<string, HostTensor>> } => {
  const clip = { batch: 2, context: 3, leads: 2, frame: [8, 8, 1] as const };
  const names = Object.keys(weights);
  const slots = names.flatMap((name, seed): [string, HostTensor][] => {
    const { shape, data } = weights[name]!;
    const weight: HostTensor = { shape, dtype: 'float32', data };
    const square = randomTensor(shape, 3 * seed, 0.005);
    return [
      [slotName('weight', name), weight],
      [slotName('mean', name), randomTensor(shape, 3 * seed + 1, 0.01)],
      [slotName('square', name), { ...square, data: square.data.map((value) => value + 0.01) }],
      [slotName('average', name), weight],
    ];
  });
  const scalars = Object.entries({ rate: 0.01, decay: 0.1, ...debiases(10) }).map(
    ([name, value]): [string, HostTensor] => [
      name,
      { shape: [], dtype: 'float32', data: Float32Array.of(value) },
    ],
  );
  const frames = [0, 1, 2, 3, 4].flatMap((t) => [
    ...movingField(t, clip.frame),
    ...movingField(t, clip.frame, 1, 1),
  ]);
  const { clip: spec } = trainSpecs(weights, clip);
  return {
    fn: trainStep(network, names, clip),
    given: {
      ...Object.fromEntries([...scalars, ...slots]),
      clip: { ...spec!, data: Float32Array.from(frames) },
    },
  };
};
