// What bench/load.ts measures, in a process of its own: everything that attach does to a frame but forecasting. Prints
// lines of Seen; ends at SIGTERM with one of Spent.
import { existsSync, readFileSync } from 'node:fs';
import { rootsOf } from '../../src/pipeline/config/roots.js';
import { attachSchema } from '../../src/pipeline/config/config.js';
import { createCredits } from '../../src/pipeline/intake/credits.js';
import { openCodecs } from '../../src/pipeline/intake/input.js';
import { createRoots } from '../../src/pipeline/intake/open-roots.js';
import { openLedger } from '../../src/pipeline/ledger/ledger.js';
import type { RunContext } from '../../src/pipeline/run.js';
import { read } from '../../src/stages/read.js';
import { watch } from '../../src/stages/watch.js';

/** Frames that came through since the last line. */
export interface Seen {
  /** Series, number, and when: milliseconds since the epoch. */
  readonly frames: readonly (readonly [series: string, index: number, at: number])[];
  /** Memory of its own, without the pages of mapped files: of the ledger, those are the system's cache. */
  readonly residentMb: number;
  /** CPU seconds since the process began. */
  readonly cpu: number;
}
/** What the ledger has in the end. */
export interface Spent {
  readonly observed: number;
  readonly others: number;
}

const { directory, state } = JSON.parse(process.argv[2] ?? '') as { directory: string; state: string };
const config = attachSchema.parse({ directory, atomic: true });
const stop = new AbortController();
process.on('SIGTERM', () => {
  stop.abort();
});

process.stdout.on('error', () => process.exit(1)); // nobody listens any more
const print = (line: Seen | Spent): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
const ledger = openLedger(state, { keep: config.keepLedger });
const codecs = await openCodecs(1);
const notice = (message: string): void => {
  console.error(message);
};
const roots = await createRoots({
  roots: rootsOf(config),
  start: 'beginning',
  outputs: [],
  codecs,
  ledger,
  notice,
});
for (const { source } of roots) await source.open(stop.signal);
const context: RunContext = {
  signal: stop.signal,
  now: () => new Date(),
  notice,
  fail: (entry, outcome, reason) => {
    ledger.finish(entry, outcome, { reason });
    notice(`${entry.path} ${outcome}: ${reason}`);
  },
};

const PAGE = 4096;
/** Bytes; with mapped files where there is no /proc. */
const ownMemory = (): number => {
  if (!existsSync('/proc/self/statm')) return process.memoryUsage.rss();
  const [, resident = 0, mapped = 0] = readFileSync('/proc/self/statm', 'utf8').split(' ').map(Number);
  return PAGE * (resident - mapped);
};

let frames: Seen['frames'][number][] = [];
const report = (): void => {
  const { user, system } = process.cpuUsage();
  print({ frames, residentMb: ownMemory() / 1e6, cpu: (user + system) / 1e6 });
  frames = [];
};
const timer = setInterval(report, 100);
await watch(config, { ...context, ledger, roots })
  .pipe(
    read({
      ...context,
      ledger,
      credits: createCredits({ items: config.memoryFrames, bytes: config.memoryBytes }),
      codecFor: codecs.for,
    }),
  )
  .forEach(({ frame, release }) => {
    frames.push([frame.series, frame.index, performance.timeOrigin + performance.now()]);
    ledger.finish(frame.source, 'observed', { contentHash: frame.contentHash, position: frame.position });
    release();
  });
clearInterval(timer);
report();
for (const { source } of roots) await source.close();
await ledger.durable();
const { frames: outcomes } = ledger.counts();
const { observed, ...others } = outcomes;
print({ observed, others: Object.values(others).reduce((sum, count) => sum + count, 0) });
await ledger.close();
