import type { Engine, Handle, Named, Program } from '../engine/index.js';
import { assemble, type Forecaster, type Settings } from '../forecaster/forecaster.js';
import type { Network } from '../forecaster/network-functions.js';
import type { Weight } from '../forecaster/safetensors.js';
import type { Clip } from './clips.js';
import type { TrainOptions } from './options.js';
import { decayAt, rateAt } from './schedule.js';
import { debiases, slotName, SLOTS, trainSpecs, trainStep, type ClipShape } from './train-step.js';

/** Programs that are kept: frames of a run that goes on for months may come in many sizes. */
const MOST_PROGRAMS = 30;

/** All slots on the device, and the programs of the current number of leads, one for each size of frames and roll-in. */
export const optimiser = (engine: Engine, network: Network, options: TrainOptions) => {
  let slots: Record<string, Handle> = {};
  const programs = new Map<string, Program>();
  let currentLeads = 0;
  let names: string[] = [];
  const scalar = (value: number) => ({ shape: [], dtype: 'float32' as const, data: Float32Array.of(value) });

  const load = async (tensors: Named<Weight>): Promise<void> => {
    names = Object.keys(tensors)
      .filter((name) => name.startsWith('weight.'))
      .map((name) => name.slice('weight.'.length))
      .sort(); // sums over all weights must not depend on where the weights come from
    for (const [name, { shape, data }] of Object.entries(tensors))
      slots[name] = await engine.upload({ shape, data, dtype: 'float32' });
  };
  const forgetPrograms = async (): Promise<void> => {
    for (const old of programs.values()) await old.dispose();
    programs.clear();
  };
  const compiled = async (shape: ClipShape): Promise<Program> => {
    if (shape.leads !== currentLeads) {
      await forgetPrograms();
      currentLeads = shape.leads;
    }
    const key = [...shape.frame, shape.isPart ?? false, shape.rollIn ?? 0].join();
    const known = programs.get(key);
    if (known !== undefined) {
      programs.delete(key);
      programs.set(key, known); // the last: it was used last
      return known;
    }
    const weights = Object.fromEntries(
      names.map((name) => [name, slots[slotName('weight', name)] as Handle]),
    );
    const program = await engine.compile(trainStep(network, names, shape), trainSpecs(weights, shape));
    programs.set(key, program);
    const [oldest] = programs;
    if (programs.size > MOST_PROGRAMS && oldest !== undefined) {
      programs.delete(oldest[0]);
      await oldest[1].dispose();
    }
    return program;
  };
  const read = async (): Promise<Record<string, Weight>> => {
    const entries = Object.entries(slots).map(async ([name, handle]) => {
      const { shape, data } = await engine.read(handle);
      return [name, { shape, data: data as Float32Array }] as const;
    });
    return Object.fromEntries(await Promise.all(entries));
  };
  const step = async (
    { shape, inputs }: Clip,
    iteration: number,
    rate = rateAt(iteration, options),
  ): Promise<number> => {
    const { debias1, debias2 } = debiases(iteration + 1);
    const program = await compiled(shape);
    const { loss, gradient, ...next } = await program.run({
      ...inputs,
      rate: scalar(rate),
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
  const dispose = async (): Promise<void> => {
    await forgetPrograms();
    for (const handle of Object.values(slots)) handle.release();
    slots = {};
  };
  return { load, read, step, dispose };
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
