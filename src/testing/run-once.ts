import type { Engine, HostTensor, Named, Spec, TensorFunction } from '../engine/types.js';

/** Compiles and runs `fn` once, and brings all outputs over. */
export const runOnce = async (
  engine: Engine,
  fn: TensorFunction,
  inputs: Named<HostTensor>,
): Promise<Record<string, HostTensor>> => {
  const specs = Object.fromEntries(
    Object.entries(inputs).map(([name, { shape, dtype }]): [string, Spec] => [name, { shape, dtype }]),
  );
  const program = await engine.compile(fn, specs);
  const handles = await program.run(inputs);
  const outputs: Record<string, HostTensor> = {};
  for (const [name, handle] of Object.entries(handles)) {
    outputs[name] = await engine.read(handle);
    handle.release();
  }
  await program.dispose();
  return outputs;
};
