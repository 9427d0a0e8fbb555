// One case of bench/streaming.ts, in a process of its own for the sake of its memory. Prints StreamingFigures.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readSafetensors } from '../src/forecaster/safetensors.js';
import { trainSchema } from '../src/training/options.js';
import { train } from '../src/training/train.js';
import { median } from './table.js';

export interface StreamingFigures {
  readonly stepMs: number;
  readonly peakMb: number;
  /** Of the weights. */
  readonly hash: string;
}

const { data, out, memoryBytes, device } = JSON.parse(process.argv[2] ?? '') as {
  data: string;
  out: string;
  memoryBytes: number;
  device: string;
};

const times: number[] = [];
let before = 0;
await train(
  trainSchema.parse({
    data: [data],
    out,
    memoryBytes,
    device,
    threads: 1,
    encoderOptions: { width: 4, latent: 4 },
    predictorOptions: { layers: 1, hidden: 4 },
    decoderOptions: { width: 4 },
    validation: 1,
    horizon: 10,
    leads: 10,
    iterations: 100,
    validateEvery: 100,
    fresh: true,
  }),
  (event) => {
    if (event.type !== 'step') return;
    if (before > 0) times.push(performance.now() - before);
    before = performance.now();
  },
  new AbortController().signal,
);
const { tensors } = readSafetensors(await readFile(join(out, 'weights.safetensors')));
const hash = createHash('sha256');
for (const name of Object.keys(tensors).sort()) hash.update(tensors[name]!.data);
const figures: StreamingFigures = {
  stepMs: median(times.slice(-50)),
  peakMb: process.resourceUsage().maxRSS / 1024,
  hash: hash.digest('hex'),
};
console.log(JSON.stringify(figures));
