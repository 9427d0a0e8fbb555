let last: Promise<unknown> = Promise.resolve();

/**
 * Does one thing at a time, in the order asked for. ONNX Runtime has one WebGPU device for the whole process, and
 * sessions that use it from several threads at once may end the process: engines on webgpu take turns.
 */
export const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
  const done = last.then(work);
  last = done.catch(() => undefined);
  return done;
};
