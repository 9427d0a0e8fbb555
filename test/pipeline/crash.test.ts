import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { readLedger } from '../../src/pipeline/ledger/ledger.js';
import type { LedgerCounts } from '../../src/pipeline/ledger/records.js';
import type { Daemon } from '../support/runs.js';
import {
  daemon,
  difference,
  forecastLines,
  forecastValues,
  record,
  scoreLines,
  smallRun,
  until,
} from '../support/runs.js';
import { frameBytes, framePath, putFrame, saveTiny } from '../support/tiny.js';

const FULL = 65535;
const countsIn = async (out: string): Promise<LedgerCounts> => {
  const ledger = readLedger(join(out, 'state'));
  const counts = ledger.counts();
  await ledger.close();
  return counts;
};
let home: string;
let forecaster: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-crash-'));
  forecaster = join(home, 'tiny');
  await saveTiny(forecaster);
});
afterAll(() => rm(home, { recursive: true }));

interface Scenario {
  readonly name: string;
  /** Forecasts on disk at which the daemon is killed, one number for each of its lives. */
  readonly kills: readonly number[];
  readonly signal?: NodeJS.Signals;
  readonly frames?: number;
  readonly stride?: number;
  /** Numbers that never appear. */
  readonly absent?: readonly number[];
  /** Numbers of files that are cut short. */
  readonly broken?: readonly number[];
}
const scenarios: readonly Scenario[] = [
  { name: 'in the warm-up', kills: [0], frames: 12 },
  { name: 'right after the first forecast', kills: [1], frames: 14 },
  { name: 'twice', kills: [4, 9], frames: 20 },
  { name: 'before and behind the border of a segment', kills: [17, 22], frames: 34 },
  { name: 'with a stride of 2', kills: [3, 9], stride: 2, frames: 26 },
  {
    name: 'with a missing number, a broken first frame and a broken one later',
    kills: [1, 8],
    absent: [9],
    broken: [0, 13],
    frames: 22,
  },
  { name: 'after a gap that is too long to bridge', kills: [3, 7], absent: [8, 9, 10, 11, 12], frames: 24 },
  { name: 'by SIGTERM', kills: [5], signal: 'SIGTERM', frames: 20 },
];

test.each(scenarios)(
  'stopped $name: nothing is lost, and forecasts are those of an uninterrupted run',
  async (scenario) => {
    const { kills, signal = 'SIGKILL', frames = 20, stride = 1, absent = [], broken = [] } = scenario;
    const place = await mkdtemp(join(home, 'run-'));
    const [directory, out] = [join(place, 'frames'), join(place, 'out')];
    await mkdir(directory);
    const settings = [
      directory,
      '--out',
      out,
      '--forecaster',
      forecaster,
      '--context',
      '4',
      '--horizon',
      '5',
      '--stride',
      `${stride}`,
    ];
    const quick = [
      '--format',
      'npy',
      '--device',
      'cpu',
      '--threads',
      '1',
      '--poll-interval',
      '0.05',
      '--patience',
      '0.4',
    ];
    const line = [...settings, ...quick];

    // The frames come live, but no further than a few beyond what the next kill waits for.
    const given = Array.from({ length: frames }, (_, t) => t).filter((t) => !absent.includes(t));
    let written = 0;
    const writeUpTo = async (count: number): Promise<void> => {
      for (; written < Math.min(count, given.length); written++) {
        const t = given[written] ?? 0;
        if (broken.includes(t))
          await writeFile(framePath(directory, t), (await frameBytes(t)).subarray(0, -40));
        else await putFrame(directory, t);
      }
    };
    const lives: Daemon[] = [];
    for (const count of kills) {
      const life = daemon(line);
      lives.push(life);
      await writeUpTo(count === 0 ? 3 : 3 * stride + count + 4);
      if (count === 0) {
        await until('a locked state', () => existsSync(join(out, 'state/lock')));
        await pause(400); // somewhere in the warm-up; whatever the moment, the rest must hold
      } else {
        await until(
          `${count} forecasts`,
          async () => !life.running || (await forecastLines(out)).length >= count,
        );
      }
      expect(life.running).toBe(true);
      life.kill(signal);
      const { code, stderr } = await life.exited;
      expect({
        code,
        stderr:
          code === null
            ? ''
            : stderr
                .split('\n')
                .filter((text) => !/SIGTERM/.test(text))
                .join(''),
      }).toEqual({
        code: signal === 'SIGKILL' ? null : 0,
        stderr: '',
      });
    }
    await writeUpTo(frames);
    const last = await daemon([...line, '--until-idle', '0.6', '--json']).exited;
    expect({ code: last.code, stderr: last.stderr.includes(' at ') }).toEqual({ code: 0, stderr: false });

    const reference = join(place, 'reference');
    const uninterrupted = await (
      await record(smallRun({ directory, out: reference, forecaster, stride, madeBy: 'best' }))
    ).finished;
    const [forecasts, expected] = [await forecastLines(out), await forecastLines(reference)];
    expect(new Set(forecasts.map(({ id }) => id))).toEqual(new Set(expected.map(({ id }) => id)));
    expect(expected.length).toBeGreaterThan(7);
    expect(difference(await forecastValues(out), await forecastValues(reference), FULL)).toBeLessThan(1e-5);
    // A repeat says the same, line for line.
    const facts = new Map<string, string>();
    for (const { id, issuedAt: _, ...rest } of forecasts) {
      const text = JSON.stringify(rest);
      expect(facts.get(id) ?? text).toBe(text);
      facts.set(id, text);
    }
    const [scores, scored] = await Promise.all([scoreLines(out), scoreLines(reference)]);
    const ended = (list: typeof scores): Map<string, string> =>
      new Map(list.map(({ id, status, leads }) => [id, `${status} ${leads.map(({ lead }) => lead).join()}`]));
    expect(ended(scores)).toEqual(ended(scored));
    expect(new Set(scores.map(({ id }) => id))).toEqual(new Set(forecasts.map(({ id }) => id)));
    for (const { id, status } of scores)
      expect(`${id} ${status}`).toBe(`${id} ${ended(scores).get(id)?.split(' ')[0]}`);
    if (signal === 'SIGTERM') expect(forecasts).toHaveLength(expected.length);
    expect(uninterrupted.summary.frames.rejected).toBe(broken.length);
    // Each frame has one outcome, the same as if nothing had happened.
    const counts = await Promise.all([out, reference].map(countsIn));
    expect(counts[0]).toEqual(counts[1]);
  },
);
