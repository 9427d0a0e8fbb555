import { UsageError } from '../pipeline/errors.js';
import type { SeriesStatus, Status } from '../pipeline/status/status.js';
import { readStatus } from '../pipeline/status/status.js';
import type { Command } from './command.js';
import { text } from './command.js';

export const statusCommand: Command = {
  usage: 'status <directory>',
  onlyPrints: true,
  summary: 'Show how a run is, or was when it ended: frames, forecasts, sinks, disk',
  examples: [
    ['mesocast status forecasts', 'the run that writes into forecasts, while it runs or after'],
    ['mesocast status forecasts --json', 'the same for machines'],
  ],
  declare: (yargs) =>
    yargs
      .positional('directory', {
        type: 'string',
        demandOption: true,
        describe: 'the output folder of the run (its --out), or its state folder',
      })
      .option('disk', {
        type: 'boolean',
        default: true,
        describe: 'add up what lies on disk; --no-disk does not: of millions of files that takes minutes',
      }),
  run: async (args, ui) => {
    const directory = text(args, 'directory') ?? '';
    if (directory === '') throw new UsageError('name the output folder of a run');
    const status = await readStatus(directory, { withDisk: args['disk'] !== false });
    ui.result(status, statusLines(status, Date.now()));
    return 0;
  },
};

/** "3 s", "4 min", "2.5 h", "3.1 days" from a moment on. */
const ago = (moment: string, now: number): string => {
  const seconds = Math.max(0, now - Date.parse(moment)) / 1000;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${(seconds / 3600).toFixed(1)} h` : `${(seconds / 86_400).toFixed(1)} days`;
};

const bytesText = (bytes: number): string => {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3));
  return `${(bytes / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power] ?? ''}`;
};

const runLine = ({ run, process, heartbeat }: Status, now: number): string => {
  const last = heartbeat === undefined ? '' : `, last heard of ${ago(heartbeat.writtenAt, now)} ago`;
  const started = heartbeat === undefined ? '' : ` for ${ago(heartbeat.startedAt, now)}`;
  if (run === 'starting') return `starting: process ${process?.pid} on ${process?.host}`;
  if (run === 'running') return `running${started}: process ${process?.pid} on ${process?.host}${last}`;
  return run === 'killed' ? `not running: it was killed${last}` : `not running: it ended${last}`;
};

const skillText = (skill: Readonly<Record<string, number>>): string =>
  Object.entries(skill)
    .map(([lead, value]) => `lead ${lead}: ${value.toFixed(3)}`)
    .join(', ');

const seriesLines = (name: string, series: SeriesStatus, now: number): string[] => {
  const {
    frames,
    late,
    duplicate,
    revised,
    missing,
    last,
    onTheirWay,
    waiting,
    newest,
    outstanding,
    scores,
  } = series;
  const rejected = [
    ...(late > 0 ? [`${late} late`] : []),
    ...(duplicate > 0 ? [`${duplicate} duplicate`] : []),
  ];
  const counts = Object.entries(frames).flatMap(([outcome, count]) => {
    if (count === 0) return [];
    return [
      `${count} ${outcome}${outcome === 'rejected' && rejected.length > 0 ? ` (${rejected.join(', ')})` : ''}`,
    ];
  });
  if (revised > 0) counts.push(`${revised} revised`);
  if (missing > 0) counts.push(`${missing} missing`);
  const at = last?.at === undefined ? '' : `, ${ago(last.at, now)} ago`;
  return [
    `series     ${name === '' ? '(of an older ledger)' : name}: ${counts.length > 0 ? counts.join(', ') : 'no frame yet'}` +
      (last === undefined ? '' : `; last is number ${last.index}${at}`) +
      (onTheirWay > 0 ? `; ${onTheirWay} on their way` : ''),
    ...(waiting === undefined
      ? []
      : [
          `  waiting  ${waiting.files === 1 ? '' : `${waiting.files} files, the first `}${waiting.path} for ${ago(waiting.since, now)}: ${waiting.for}`,
        ]),
    ...(newest === undefined
      ? []
      : [
          `  newest   at frame ${newest.index} by ${newest.forecaster.name}, trusted ${newest.trustedFrames} frames ahead`,
        ]),
    `  forecasts  ${outstanding} wait for their truth; scores ${scores.final} final and ${scores.expired} expired`,
  ];
};

/** The status for people. */
export const statusLines = (status: Status, now: number): string[] => {
  const { heartbeat, series, sinks, disk, skill } = status;
  const sinkLines = Object.entries(sinks).map(
    ([name, { delivered = 0, dropped = 0, queued = 0, trouble, waitingOnDisk, refusedOnDisk }]) =>
      `sink       ${name}: ${delivered} delivered in this run` +
      (queued > 0 ? `, ${queued} queued in memory` : '') +
      (dropped > 0 ? `, ${dropped} dropped` : '') +
      (waitingOnDisk > 0 ? `, ${waitingOnDisk} waiting on disk` : '') +
      (refusedOnDisk > 0 ? `, ${refusedOnDisk} refused and put aside (mesocast replay)` : '') +
      (trouble === undefined ? '' : `; being tried again: ${trouble}`),
  );
  return [
    `run        ${runLine(status, now)}`,
    ...(heartbeat === undefined
      ? []
      : [
          `follows    ${heartbeat.directories.join(', ')}, began with forecaster ${heartbeat.forecaster.name}; ${heartbeat.memory.frames} frames in memory`,
        ]),
    ...Object.entries(series).flatMap(([name, one]) => seriesLines(name, one, now)),
    `skill      ${Object.keys(skill).length > 0 ? skillText(skill) : 'nothing was scored yet'}`,
    ...sinkLines,
    ...(disk === undefined
      ? []
      : [
          `disk       ${Object.entries(disk)
            .map(([part, bytes]) => `${part} ${bytesText(bytes)}`)
            .join(', ')}`,
        ]),
  ];
};
