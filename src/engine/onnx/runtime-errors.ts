/** What ONNX Runtime and its providers say, and what it is to people. The first that fits is taken. */
const MEANINGS: readonly (readonly [RegExp, (match: RegExpMatchArray) => string])[] = [
  [
    /WebGPU device lost|device is lost|\bis lost\b|CUDA failure (?:46|77|700|719|999)\b.*/i,
    ([said]) =>
      `the GPU was lost (${said.slice(0, 100)}): its driver was reset, or it was taken away; start again, or take --device cpu`,
  ],
  [
    /OUT_OF_DEVICE_MEMORY|CUDA failure 2\b|BFC Arena ran out of memory|CUDA_ERROR_OUT_OF_MEMORY/,
    () => 'the GPU has too little free memory; take smaller batches or frames, or --device cpu',
  ],
  [/Failed to get a WebGPU adapter/, () => 'there is no driver that WebGPU can use'],
  [/CUDA failure \d+: ([^;]+)/, ([, said]) => `CUDA: ${said?.trim() ?? ''}`],
  [
    /Failed to load shared library/,
    () => "ONNX Runtime's CUDA libraries do not load: CUDA 12 and cuDNN 9 must be on the library path",
  ],
  [/\[(\w+)\] backend not found/, ([, name]) => `ONNX Runtime has no ${name ?? ''} on this platform`],
];

/**
 * One sentence for an error of ONNX Runtime. Its own begin with the place in its source and the condition that did not
 * hold, which say nothing to a user.
 */
export const explainRuntimeError = (error: string): string => {
  for (const [pattern, meaning] of MEANINGS) {
    const match = pattern.exec(error);
    if (match !== null) return meaning(match);
  }
  return `ONNX Runtime: ${error.replace(/\S*onnxruntime_src\S* .* was false\. /, '')}`;
};
