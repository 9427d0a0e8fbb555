import { spawnSync } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { SeriesStatus, Status } from '../../src/pipeline/status/status.js';

let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-deploy-'));
});
afterAll(() => rm(home, { recursive: true }));

const has = (program: string): boolean => spawnSync(program, ['--version']).error === undefined;
const optional = (program: string, name: string, body: () => Promise<void> | void): void =>
  has(program) ? test(name, body) : test.skip(`${name} (${program} is not installed)`, body);

const series: SeriesStatus = {
  frames: { forecast: 4, observed: 0, 'warm-up': 3, rejected: 0, lost: 0 },
  scores: { final: 0, expired: 0 },
  late: 0,
  duplicate: 0,
  revised: 0,
  missing: 0,
  last: { index: 6, at: new Date(Date.now() - 100_000).toISOString() },
  onTheirWay: 0,
  outstanding: 4,
  skill: {},
};
const now = new Date().toISOString();
const sink = { delivered: 4, waitingOnDisk: 0, refusedOnDisk: 0 };
const status: Status = {
  run: 'running',
  process: { pid: 7, host: 'lab' },
  heartbeat: {
    startedAt: now,
    writtenAt: now,
    directories: ['/frames'],
    out: '/out',
    forecaster: { name: 'tiny', hash: 'aa' },
    memory: { frames: 0, bytes: 0 },
  },
  state: '/out/state',
  series: { frames: series },
  skill: {},
  sinks: { jsonl: sink },
};
const { heartbeat: _, ...first } = status;
const old = { ...status.heartbeat!, writtenAt: new Date(Date.now() - 300_000).toISOString() };

test.each<[number, string, Status, string[]]>([
  [0, 'MESOCAST OK: 7 frames in 1 series', status, []],
  [1, 'no frame for 10', status, ['--quiet', '60']],
  [1, 'sink jsonl is tried again: 503', { ...status, sinks: { jsonl: { ...sink, trouble: '503' } } }, []],
  [1, 'sink jsonl refused 2', { ...status, sinks: { jsonl: { ...sink, refusedOnDisk: 2 } } }, []],
  [1, 'sink jsonl missed 3', { ...status, sinks: { jsonl: { ...sink, dropped: 3 } } }, []],
  [1, 'process 7 is starting', { ...first, run: 'starting', series: {}, sinks: {} }, []],
  [1, 'process 7 is starting', { ...status, run: 'starting', heartbeat: old }, []],
  [2, 'was killed after 7 frames', { ...status, run: 'killed' }, []],
  [2, 'process 7 has not been heard of for 3', { ...status, heartbeat: old }, []],
  [3, 'usage', status, ['--quite', '60']],
])('the check for monitoring ends with %i: %s', async (code, text, shown, flags) => {
  const program = join(home, 'mesocast');
  await writeFile(
    program,
    `#!/bin/sh\n[ "$*" = 'status /out --json --no-disk' ] || exit 9\ncat <<'END'\n${JSON.stringify(shown)}\nEND\n`,
  );
  await chmod(program, 0o755);
  const ran = spawnSync(process.execPath, ['deploy/check-mesocast.mjs', '/out', ...flags], {
    encoding: 'utf8',
    env: { ...process.env, MESOCAST: program },
  });
  expect([ran.stdout, ran.status]).toEqual([expect.stringContaining(text), code]);
  expect(ran.stdout.trim().split('\n')).toHaveLength(1);
});

test('the check for monitoring says so where there is no run', () => {
  const ran = spawnSync(process.execPath, ['deploy/check-mesocast.mjs', home], {
    encoding: 'utf8',
    env: { ...process.env, MESOCAST: join(home, 'nowhere') },
  });
  expect([ran.stdout, ran.status]).toEqual([expect.stringMatching(/^MESOCAST UNKNOWN: .*ENOENT/), 3]);
});

optional('systemd-analyze', 'systemd finds nothing wrong with the unit', () => {
  const { stderr, status } = spawnSync('systemd-analyze', ['verify', 'deploy/mesocast@.service'], {
    encoding: 'utf8',
  });
  expect([stderr, status]).toEqual(['', 0]);
});

optional('logrotate', 'logrotate empties the log and keeps what was in it', async () => {
  const [log, config] = [join(home, 'run.log'), join(home, 'logrotate')];
  await writeFile(log, 'one\ntwo\n');
  const recipe = await readFile('deploy/mesocast.logrotate', 'utf8');
  await writeFile(config, recipe.replaceAll('/var/log/mesocast', home), { mode: 0o644 });
  const { stderr, status } = spawnSync('logrotate', ['--force', '--state', join(home, 'kept'), config], {
    encoding: 'utf8',
  });
  expect([stderr, status]).toEqual(['', 0]);
  expect([await readFile(log, 'utf8'), await readFile(`${log}.1`, 'utf8')]).toEqual(['', 'one\ntwo\n']);
});

optional('bash', 'the Slurm job says what failed, in whatever order the two end', async () => {
  const job = join(home, 'short-job');
  const [mesocast, slow] = [join(home, 'short-mesocast'), join(home, 'slow')];
  await writeFile(mesocast, '#!/bin/sh\nexit 4\n');
  await writeFile(slow, '#!/bin/sh\nsleep 0.5\n');
  for (const file of [mesocast, slow]) await chmod(file, 0o755);
  const script = await readFile('deploy/slurm-job.sh', 'utf8');
  await writeFile(job, script.replace('mesocast attach', `${mesocast} attach`));
  const env = { ...process.env, SLURM_JOB_ID: '2' };
  for (const [simulation, ended] of [
    ['true', 0],
    ['false', 1],
    [slow, 0],
  ] as const) {
    const ran = spawnSync('bash', [job], {
      encoding: 'utf8',
      cwd: home,
      env: { ...env, SIMULATION: simulation },
    });
    expect([ran.stdout, ran.stderr, ran.status]).toEqual([
      `simulation ended with ${ended}, mesocast with 4\n`,
      '',
      1,
    ]);
  }
});

optional('bash', 'the Slurm job follows the simulation to its end, then what it has left', async () => {
  const [job, mesocast, slow] = [join(home, 'whole-job'), join(home, 'calls-mesocast'), join(home, 'slower')];
  const waits = 'case "$*" in *--until-idle*) exit 0;; esac; trap "exit 0" TERM; while sleep 0.1; do :; done';
  await writeFile(mesocast, `#!/bin/sh\necho "$@" >> ${home}/calls\n${waits}\n`);
  await writeFile(slow, '#!/bin/sh\nsleep 0.5\n');
  for (const file of [mesocast, slow]) await chmod(file, 0o755);
  const script = await readFile('deploy/slurm-job.sh', 'utf8');
  await writeFile(job, script.replace('mesocast attach', `${mesocast} attach`));
  const env = { ...process.env, SLURM_JOB_ID: '3', SIMULATION: slow };
  const ran = spawnSync('bash', [job], { encoding: 'utf8', cwd: home, env });
  expect([ran.stdout, ran.stderr, ran.status]).toEqual(['simulation ended with 0, mesocast with 0\n', '', 0]);
  const [first, second] = (await readFile(join(home, 'calls'), 'utf8')).trim().split('\n');
  expect(second).toBe(`${first} --until-idle 10`);
});

optional(
  'bash',
  'the Slurm job ends with what it started, and tells both when it is told to end',
  async () => {
    const job = join(home, 'job');
    const program = join(home, 'bin-mesocast');
    await writeFile(program, '#!/bin/sh\ntrap "echo told; exit 0" TERM\nwhile sleep 0.1; do :; done\n');
    await chmod(program, 0o755);
    const script = (await readFile('deploy/slurm-job.sh', 'utf8')).replace(
      'mesocast attach',
      `${program} attach`,
    );
    await writeFile(job, script);
    const ran = spawnSync('bash', ['-c', `bash ${job} & sleep 1; kill -TERM $!; wait $!`], {
      encoding: 'utf8',
      cwd: home,
      env: { ...process.env, SLURM_JOB_ID: '1', SIMULATION: program },
      timeout: 50_000,
    });
    expect([ran.stdout, ran.status]).toEqual(['told\nsimulation ended with 0, mesocast with 0\n', 0]);
    expect(await readFile(join(home, 'mesocast-1.log'), 'utf8')).toBe('told\n');
  },
);
