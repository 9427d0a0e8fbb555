import type { Engine, Handle, Named, Program } from '../engine/index.js';
import { assemble, type Forecaster, type Settings } from '../forecaster/forecaster.js';
import type { Network } from '../forecaster/network-functions.js';
import type { Weight } from '../forecaster/safetensors.js';
import { sampleClip } from './clips.js';
import type { TrainOptions } from './options.js';
import { decayAt, leadsAt, rateAt } from './schedule.js';
import type { Series } from './series.js';
import { debiases, slotName, SLOTS, trainSpecs, trainStep, type ClipShape } from './train-step.js';

/** All slots on the device, and the program of the current number of leads. */
export const optimiser = (
  engine: Engine,
  network: Network,
  options: TrainOptions,
  frame: Series['shape'],
) => {
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

/** The slots before the first step. */
export const initialSlots = (weights: Named<Weight>): Record<string, Weight> =>
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
export const averaged = (slots: Named<Weight>, settings: Settings): Promise<Forecaster> =>
  assemble(
    settings,
    Object.fromEntries(
      Object.entries(slots)
        .filter(([name]) => name.startsWith('average.'))
        .map(([name, weight]) => [name.slice('average.'.length), weight]),
    ),
  );
