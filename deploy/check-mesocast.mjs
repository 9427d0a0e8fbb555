#!/usr/bin/env node
// How a run is, for a monitoring system: one line, and exit code 0 (well), 1 (look at it), 2 (not running) or 3 (unknown),
// as Nagios, Icinga and others expect.
//   check-mesocast.mjs OUT [--quiet SECONDS]
// --quiet: nothing came for so long is worth a look, too.
import { spawnSync } from 'node:child_process';

const LEVELS = ['OK', 'WARNING', 'CRITICAL', 'UNKNOWN'];
const end = (level, text) => {
  console.log(`MESOCAST ${LEVELS[level]}: ${text}`);
  process.exit(level);
};

const [directory, flag, given] = process.argv.slice(2);
const quiet = flag === undefined ? Infinity : Number(given);
if (directory === undefined || (flag !== undefined && flag !== '--quiet') || !(quiet > 0))
  end(3, 'usage: check-mesocast.mjs OUT [--quiet SECONDS]');

const mesocast = process.env.MESOCAST ?? 'mesocast';
const { error, status, stdout, stderr } = spawnSync(mesocast, ['status', directory, '--json', '--no-disk'], {
  encoding: 'utf8',
  timeout: 60_000,
});
if (error) end(3, `${mesocast}: ${error.message}`);
if (status !== 0) end(3, (stderr || stdout).trim().split('\n').at(-1));

const { run, process: daemon, heartbeat, series, sinks } = JSON.parse(stdout);
const secondsSince = (moment) => Math.round((Date.now() - Date.parse(moment)) / 1000);
const all = Object.values(series);
const frames = all.reduce((sum, one) => sum + Object.values(one.frames).reduce((a, b) => a + b, 0), 0);
if (run === 'starting') end(1, `process ${daemon.pid} is starting`);
if (run !== 'running')
  end(2, `the run ${run === 'killed' ? 'was killed' : 'has ended'} after ${frames} frames`);
// It tells of itself every two seconds: a process that hangs, or is stopped, does not.
if (secondsSince(heartbeat.writtenAt) > 60)
  end(2, `process ${daemon.pid} has not been heard of for ${secondsSince(heartbeat.writtenAt)} s`);

const worries = Object.entries(sinks).flatMap(
  ([name, { trouble, dropped = 0, refusedOnDisk, waitingOnDisk }]) => [
    ...(trouble === undefined ? [] : [`sink ${name} is tried again: ${trouble}`]),
    ...(refusedOnDisk > 0 ? [`sink ${name} refused ${refusedOnDisk}`] : []),
    ...(waitingOnDisk > 0 ? [`${waitingOnDisk} wait on disk for sink ${name}`] : []),
    ...(dropped > 0 ? [`sink ${name} missed ${dropped}`] : []),
  ],
);
const last = Math.max(...all.map(({ last }) => Date.parse(last?.at ?? heartbeat.startedAt)));
const silence = secondsSince(new Date(all.length > 0 ? last : heartbeat.startedAt).toISOString());
if (silence > quiet) worries.push(`no frame for ${silence} s`);
end(worries.length > 0 ? 1 : 0, [`${frames} frames in ${all.length} series`, ...worries].join('; '));
