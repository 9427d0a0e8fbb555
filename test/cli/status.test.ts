import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { openStateFolder } from '../../src/pipeline/state/state-folder.js';
import type { Status } from '../../src/pipeline/status/status.js';
import { mesocast } from '../support/cli.js';
import { daemon, forecastLines, until } from '../support/runs.js';
import { frameBytes, framePath, putFrame, putFrames, saveTiny } from '../support/tiny.js';

let home: string;
let out: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-status-'));
  out = join(home, 'out');
  await saveTiny(join(home, 'tiny'));
  await mkdir(join(home, 'frames'));
});
afterAll(() => rm(home, { recursive: true }));

/** Dotted keys of a status; `*` for names. */
const keysOf = (value: object, path = ''): string[] =>
  Object.entries(value).flatMap(([key, inner]: [string, unknown]) => {
    const own = `${path}${/(^|\.)(series|sinks|skill|frames)\.$/.test(path) ? '*' : key}`;
    return typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? keysOf(inner, `${own}.`)
      : [own];
  });
/** What is named in the first column of the first table of a section with this head. */
const documented = async (section: string, head: string): Promise<string[]> => {
  const page = (await readFile('docs/cli.md', 'utf8')).split(`\n## ${section}\n`)[1]?.split('\n## ')[0];
  const table = page?.split(`\n| ${head} |`)[1]?.split('\n\n')[0] ?? '';
  return [...table.matchAll(/^\| (`.*?`) \|/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, key]) => key ?? ''),
  );
};

const statusNow = async (): Promise<Status> =>
  JSON.parse((await mesocast(['status', out, '--json'])).stdout) as Status;
const listed = async (...options: string[]): Promise<string> =>
  (await mesocast(['ledger', out, ...options])).stdout;

test('status and ledger tell of a run while it runs, after a kill, and after its end', async () => {
  const frames = join(home, 'frames');
  const line = [frames, '--out', out, '--forecaster', join(home, 'tiny'), '--context', '4', '--horizon', '5'];
  const quick = ['--device', 'cpu', '--threads', '1', '--poll-interval', '0.05', '--patience', '600'];
  await putFrames(frames, 0, 7);
  await writeFile(framePath(frames, 7), (await frameBytes(7)).subarray(0, -40));
  const first = daemon([...line, ...quick]);
  await until('4 forecasts', async () => (await forecastLines(out)).length >= 4, 100);

  let status = await statusNow();
  await until('the torn file', async () => {
    status = await statusNow();
    return status.series.frames?.waiting?.for.includes('end') === true;
  });
  expect(status).toMatchObject({
    run: 'running',
    heartbeat: { directories: [frames], out, forecaster: { name: 'tiny' } },
    series: {
      frames: {
        frames: { forecast: 4, 'warm-up': 3, rejected: 0 },
        last: { index: 6 },
        onTheirWay: 0,
        waiting: { files: 1, index: 7, path: framePath(frames, 7) },
      },
    },
  });
  expect(status.disk?.ledger).toBeGreaterThan(1000);
  const { disk: _, ...others } = status;
  const without = JSON.parse((await mesocast(['status', out, '--json', '--no-disk'])).stdout) as Status;
  expect(Object.keys(without).sort()).toEqual(Object.keys(others).sort());
  const people = (await mesocast(['status', out])).stdout;
  expect(people).toMatch(/^run +running for .* process \d+ on /);
  expect(people).toMatch(/waiting +\S+frame_0007\.png for \d+ s: /);

  const running = keysOf(status);

  first.kill('SIGKILL');
  await first.exited;
  const before = await readdir(join(out, 'state'));
  expect((await statusNow()).run).toBe('killed');
  expect(await readdir(join(out, 'state'))).toEqual(before);

  await putFrame(frames, 7);
  await putFrame(frames, 9);
  const last = await daemon([...line, ...quick.slice(0, -1), '0.4', '--until-idle', '0.6']).exited;
  expect(last.code).toBe(0);
  await writeFile(framePath(frames, 20), 'no picture');
  status = await statusNow();
  expect(status).toMatchObject({
    run: 'ended',
    series: {
      frames: {
        missing: 1,
        last: { index: 9 },
        newest: { index: 9, forecaster: { name: 'tiny' }, trustedFrames: 0 },
      },
    },
  });
  const next = openStateFolder(join(out, 'state'));
  expect((await mesocast(['status', out])).stdout).toMatch(/^run +starting: process \d+ on /);
  next.release();
  expect((await mesocast(['status', out])).stdout).toMatch(
    /newest +at frame 9 by tiny, trusted 0 frames ahead/,
  );
  expect(Object.keys(status.skill)).toEqual(['1', '5']);
  // Nothing was in trouble here.
  expect([...new Set([...running, ...keysOf(status), 'sinks.*.trouble'])].sort()).toEqual(
    (await documented('status', 'key')).sort(),
  );
  expect(status.sinks).toMatchObject({ jsonl: { waitingOnDisk: 0, refusedOnDisk: 0 } });

  const rows = (await listed('--format', 'jsonl')).trim().split('\n');
  expect(rows.map((row) => (JSON.parse(row) as { index: number }).index)).toEqual([
    0, 1, 2, 3, 4, 5, 6, 7, 9,
  ]);
  expect(await listed('--frame', '2')).toMatch(
    /^frames 2: warm-up {2}place 2 {2}\S+Z {2}\S+frame_0002\.png\n$/,
  );
  const csv = (await listed('--outcome', 'warm-up', '--format', 'csv')).trim().split('\n');
  expect(csv).toHaveLength(4);
  const columns = await documented('ledger', 'column');
  expect(csv[0]?.split(',')).toEqual(columns);
  const keys = new Set(rows.flatMap((row) => Object.keys(JSON.parse(row) as object)));
  expect([...keys].filter((key) => !columns.includes(key))).toEqual([]);
  expect(csv[1]).toMatch(/^frames,0,0,warm-up,,20/);
  expect(JSON.parse(await listed('--reason', 'nothing', '--json'))).toEqual({ frames: [] });
});

test('what is no run, or no series of it, is refused in one line', async () => {
  const nothing = await mesocast(['status', home]);
  expect(nothing).toMatchObject({ code: 2, stderr: expect.stringMatching(/^mesocast: .*neither[^\n]*\n$/) });
  const series = await mesocast(['ledger', out, '--series', 'frame']);
  expect(series).toMatchObject({ code: 2, stderr: expect.stringContaining('did you mean "frames"') });
});
