import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UsageError } from '../src/pipeline/errors.js';
import { saveTiny } from '../test/support/tiny.js';
import { burst } from './faults/burst.js';
import { clock } from './faults/clock.js';
import { directoryRemoved } from './faults/directory.js';
import { diskUnderLedger, diskUnderSinks, diskUnderState } from './faults/disk.js';
import type { Fault, Findings } from './faults/fault.js';
import { kills } from './faults/kills.js';
import { sinkDown } from './faults/sink-down.js';
import { writers } from './faults/writers.js';
import type { BenchOptions, Result, Row } from './table.js';

/** In the order in which they are tried. */
const FAULTS: readonly Fault[] = [
  writers,
  directoryRemoved,
  clock,
  diskUnderLedger,
  diskUnderState,
  diskUnderSinks,
  burst,
  kills,
  sinkDown,
];
/** It mostly waits, so it goes on beside the others. */
const BESIDE = sinkDown;

const rowOf = ({ done, frames, lost, torn, missing, repeats, unknown, wrong }: Findings): Row => [
  done,
  {
    frames,
    lost,
    torn,
    missing,
    repeats,
    'not recognised': unknown,
    verdict: wrong.length === 0 ? 'ok' : 'WRONG',
  },
];

/** What a laboratory does to a daemon: nothing may be lost, and nothing told twice that a receiver cannot recognise. */
export const benchFaults = async ({ quick, part, note }: BenchOptions): Promise<Result> => {
  const names = FAULTS.map(({ name }) => name);
  if (part !== undefined && !names.includes(part))
    throw new UsageError(`there is no fault "${part}"`, { hint: `there are ${names.join(', ')}` });
  const home = await mkdtemp(join(tmpdir(), 'mesocast-faults-'));
  const rows: Row[] = [];
  let wrong = 0;
  try {
    const forecaster = join(home, 'tiny');
    await saveTiny(forecaster);
    const run = async (fault: Fault): ReturnType<Fault['run']> => {
      const folder = join(home, fault.name);
      await mkdir(folder);
      return fault.run({ folder, forecaster, quick, note });
    };
    const wanted = FAULTS.filter(({ name }) => part === undefined || name === part);
    const beside = wanted.includes(BESIDE) ? run(BESIDE) : undefined;
    beside?.catch(() => undefined); // awaited in its turn
    for (const fault of wanted) {
      note(`${fault.name} ...`);
      const found = (await (fault === BESIDE ? beside : undefined)) ?? (await run(fault));
      if ('skipped' in found) {
        rows.push([fault.name, { verdict: `skipped: ${found.skipped}` }]);
        continue;
      }
      rows.push(rowOf(found));
      for (const line of found.wrong) note(`  ${line}`);
      wrong += found.wrong.length;
      if (found.wrong.length === 0) await rm(join(home, fault.name), { recursive: true, force: true });
    }
  } finally {
    if (wrong === 0) await rm(home, { recursive: true, force: true });
    else note(`what went wrong is in ${home}`);
  }
  if (wrong > 0) process.exitCode = 1;
  return { tables: [rows], figures: { faults_wrong: wrong } };
};
