import type { Tensor4D } from '@tensorflow/tfjs-core';
import type { Named } from '../engine/types.js';
import { ForecasterError } from '../pipeline/errors.js';
import type { Decoder, Encoder, NetworkShape, Predictor } from './network.js';
import { openOnnxStage, type OnnxStage } from './onnx-contract.js';

/** Height and width of latents that files with open sizes are tried on. */
const TRIED = [24, 48] as const;

type Shape = readonly [number, number, number, number];
const at = (shapes: Named<Shape>, name: string): Shape => shapes[name] as Shape;
const text = (shape: readonly number[]): string => `[${shape.join(', ')}]`;

const refuse = ({ path }: OnnxStage, why: string): never => {
  throw new ForecasterError(`${path}: ${why}`, { hint: 'docs/onnx.md says what a stage has to be' });
};

const numbered = (names: readonly string[], prefix: string): string[] =>
  names.filter((name) => name.startsWith(prefix)).map((_, k) => `${prefix}${k}`);

const byName = (prefix: string, tensors: readonly Tensor4D[]): Record<string, Tensor4D> =>
  Object.fromEntries(tensors.map((tensor, k) => [`${prefix}${k}`, tensor]));

/** How many times `part` goes into `whole`, along both axes alike. */
const strideOf = (stage: OnnxStage, whole: Shape, name: string, part: Shape): number => {
  const stride = whole[2] / part[2];
  if (Number.isInteger(stride) && whole[3] / part[3] === stride) return stride;
  return refuse(
    stage,
    `its output ${name} came out as ${text(part)} for a frame ${text(whole)}: height and width have to be those of the frame divided by one whole number`,
  );
};

/**
 * An encoder from an .onnx file: frame, previous [N, C, H, W] -> latent [N, L, H/s, W/s] and skip_0, ...
 * @throws ForecasterError or EngineError naming the file, what it has and what was expected
 */
export const onnxEncoder = async (path: string, { channels }: NetworkShape): Promise<Encoder> => {
  const stage = await openOnnxStage(path, {
    inputs: ['frame', 'previous'],
    needs: ['frame'],
    outputs: ['latent'],
    manyOutputs: 'skip',
    words:
      'an encoder takes frame and, if it wants, previous, and gives latent and, if it wants, skip_0, skip_1, ...',
  });
  const fixed = stage.fixed('frame');
  const frame: Shape = [1, channels, fixed[0] ?? 4 * TRIED[0], fixed[1] ?? 4 * TRIED[1]];
  const shapes = await stage.probe({ frame, previous: frame });
  const outputs = ['latent', ...numbered(stage.outputs, 'skip_')].map((name) => ({
    name,
    channels: at(shapes, name)[1],
    stride: strideOf(stage, frame, name, at(shapes, name)),
  }));
  const [latent, ...skips] = outputs as [(typeof outputs)[0], ...typeof outputs];
  return {
    stride: latent.stride,
    sealed: stage.hash,
    latentChannels: () => latent.channels,
    skips: skips.map(({ channels: c, stride }) => ({ channels: c, stride })),
    params: () => ({}),
    encode: (_, now, previous) => {
      const [, h, w] = now.shape;
      const sizes = outputs.map(
        ({ name, channels: c, stride }) => [name, [h / stride, w / stride, c]] as const,
      );
      const results = stage.call({ frame: now, previous }, Object.fromEntries(sizes));
      return {
        latent: results['latent'] as Tensor4D,
        skips: skips.map(({ name }) => results[name] as Tensor4D),
      };
    },
  };
};

/**
 * A predictor from an .onnx file: latent [N, L, h, w], state_0, ... -> next_latent [N, P, h, w], next_state_0, ...
 * A state has the height and width of the latent unless the file fixes others.
 * @throws ForecasterError or EngineError naming the file, what it has and what was expected
 */
export const onnxPredictor = async (
  path: string,
  net: NetworkShape,
  encoder: Encoder,
): Promise<Predictor> => {
  const stage = await openOnnxStage(path, {
    inputs: ['latent'],
    manyInputs: 'state',
    needs: ['latent'],
    outputs: ['next_latent'],
    manyOutputs: 'next_state',
    words:
      'a predictor takes latent and state_0, state_1, ..., and gives next_latent and as many next_state_0, ...',
  });
  const names = numbered(Object.keys(stage.channels), 'state_');
  if (stage.outputs.length !== 1 + names.length)
    refuse(
      stage,
      `it takes ${names.length} states and gives ${stage.outputs.length - 1}: both have to be the same`,
    );
  const stateShape = (name: string, n: number, h: number, w: number): Shape => {
    const [height, width] = stage.fixed(name);
    return [n, stage.channels[name] as number, height ?? h, width ?? w];
  };
  const [h, w] = [stage.fixed('latent')[0] ?? TRIED[0], stage.fixed('latent')[1] ?? TRIED[1]];
  const states = Object.fromEntries(names.map((name) => [name, stateShape(name, 1, h, w)]));
  const shapes = await stage.probe({ latent: [1, encoder.latentChannels(net), h, w], ...states });
  for (const [name, shape] of Object.entries(states))
    if (at(shapes, `next_${name}`).join() !== shape.join())
      refuse(
        stage,
        `its next_${name} came out as ${text(at(shapes, `next_${name}`))} for a ${name} ${text(shape)}: they have to be alike`,
      );
  const [, latentChannels, ...size] = at(shapes, 'next_latent');
  if (size.join() !== [h, w].join())
    refuse(
      stage,
      `its next_latent came out as ${text(at(shapes, 'next_latent'))} for a latent of ${h}x${w}: height and width have to stay`,
    );
  return {
    latentChannels,
    sealed: stage.hash,
    params: () => ({}),
    stateShapes: (n, height, width) =>
      names.map((name) => {
        const [, c, y, x] = stateShape(name, n, height, width);
        return [n, y, x, c];
      }),
    step: (_, latent, state) => {
      const [, height, width] = latent.shape;
      const next = state.map(({ shape: [, y, x, c] }, k) => [`next_state_${k}`, [y, x, c]] as const);
      const results = stage.call(
        { latent, ...byName('state_', state) },
        { next_latent: [height, width, latentChannels], ...Object.fromEntries(next) },
      );
      return {
        latent: results['next_latent'] as Tensor4D,
        state: next.map(([name]) => results[name] as Tensor4D),
      };
    },
  };
};

/**
 * A decoder from an .onnx file: latent [N, P, h, w], skip_0, ..., frame, previous [N, C, H, W] -> next_frame [N, C, H, W].
 * @throws ForecasterError or EngineError naming the file, what it has and what was expected
 */
export const onnxDecoder = async (
  path: string,
  { channels }: NetworkShape,
  encoder: Encoder,
  predictor: Predictor,
): Promise<Decoder> => {
  const stage = await openOnnxStage(path, {
    inputs: ['latent', 'frame', 'previous'],
    manyInputs: 'skip',
    needs: ['latent'],
    outputs: ['next_frame'],
    words:
      'a decoder takes latent and, if it wants, skip_0, skip_1, ..., frame and previous, and gives next_frame',
  });
  // Of each input that it could have: channels, and how many times its pixels are those of a frame.
  const offered: Record<string, { channels: number; stride: number }> = {
    latent: { channels: predictor.latentChannels, stride: encoder.stride },
    frame: { channels, stride: 1 },
    previous: { channels, stride: 1 },
    ...Object.fromEntries(encoder.skips.map((skip, k) => [`skip_${k}`, skip])),
  };
  const size = ([0, 1] as const).map((axis) => {
    const fixed = Object.entries(offered).map(
      ([name, { stride }]) => (stage.fixed(name)[axis] ?? NaN) * stride,
    );
    return fixed.find((pixels) => !Number.isNaN(pixels)) ?? encoder.stride * TRIED[axis];
  }) as [number, number];
  const given = Object.entries(offered).map(
    ([name, { channels: c, stride }]) => [name, [1, c, size[0] / stride, size[1] / stride]] as const,
  );
  const { next_frame: found } = await stage.probe(Object.fromEntries(given));
  if (found?.join() !== [1, channels, ...size].join())
    refuse(
      stage,
      `its next_frame came out as ${text(found ?? [])} for frames ${text([1, channels, ...size])}: they have to be alike`,
    );
  return {
    sealed: stage.hash,
    params: () => ({}),
    decode: (_, latent, skips, frame, previous) => {
      const [, h, w, c] = frame.shape;
      const results = stage.call(
        { latent, frame, previous, ...byName('skip_', skips) },
        { next_frame: [h, w, c] },
      );
      return results['next_frame'] as Tensor4D;
    },
  };
};
