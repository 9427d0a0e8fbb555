import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { mesocast } from '../support/cli.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mesocast-attach-'));
  const { code, stderr } = await mesocast(['simulate', 'dendrite', '--size', '32', '--frames', '14'], {
    cwd: folder,
  });
  if (code !== 0) throw new Error(stderr);
});
afterAll(() => rm(folder, { recursive: true }));

const line = [
  ...['attach', 'frames', '--forecaster', 'dendrite', '--learn', 'off'],
  ...['--horizon', '3', '--poll-interval', '0.1', '--json'],
];

test('attach --until-idle ends by itself, with the summary and the pooled skill as one JSON object', async () => {
  const { code, stdout } = await mesocast(
    [...line, '--out', 'a', '--until-idle', '1', '--set', 'files.format=npy'],
    { cwd: folder },
  );
  expect(code).toBe(0);
  const summary = JSON.parse(stdout) as { skill: Record<string, number> };
  // A context of 10: forecasts from frames 9 to 13, of which those of 9 and 10 see 3 frames more.
  expect(summary).toMatchObject({
    frames: { forecast: 5, observed: 0, 'warm-up': 9, rejected: 0, lost: 0 },
    forecasts: 5,
    scores: { final: 2, expired: 3 },
    out: join(folder, 'a'),
  });
  expect(Object.keys(summary.skill)).toEqual(['1', '3']);
  // Option of a sink by --set: one array instead of images.
  expect(existsSync(join(folder, 'a/forecasts/frames/00000013.npy'))).toBe(true);
});

test('SIGTERM drains a run: what was read is finished, the summary printed, and the exit code 0', async () => {
  const child = spawn(
    process.execPath,
    [join(process.cwd(), 'dist/src/cli/main.js'), ...line, '--out', 'b'],
    {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  );
  let stdout = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  const closed = new Promise<number | null>((resolve) => child.on('close', resolve));
  const forecasts = join(folder, 'b/forecasts.jsonl');
  while (
    child.exitCode === null &&
    !(existsSync(forecasts) && (await readFile(forecasts, 'utf8')).includes('\n'))
  )
    await pause(20);
  child.kill('SIGTERM');
  expect(await closed).toBe(0);
  const summary = JSON.parse(stdout) as { forecasts: number };
  const lines = (await readFile(forecasts, 'utf8')).trim().split('\n');
  expect(summary.forecasts).toBeGreaterThan(0);
  expect(lines).toHaveLength(summary.forecasts);
});
