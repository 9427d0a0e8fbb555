import { resolve } from 'node:path';
import type { AttachConfig } from '../pipeline/config/config.js';
import { describeRoots } from '../pipeline/config/roots.js';
import type { Forecast } from '../pipeline/forecast.js';
import type { DeliveryCounts, Outcome, RunEvent, Summary } from '../pipeline/run.js';
import { skillByLead, withScore, type SkillSums } from '../pipeline/skill-sums.js';
import { onHangUp, onStopSignal } from './signals.js';
import type { Ui } from './ui.js';

/** How a run ended, as --json prints it. */
export interface Followed extends Summary {
  /** Skill over persistence by lead, pooled over all scores of this run. */
  readonly skill: Readonly<Record<string, number>>;
  /** How far ahead the newest forecast of each series was trusted. */
  readonly trusted: Readonly<Record<string, number>>;
  /** Frames per second, over the whole run. */
  readonly framesPerSecond: number;
  readonly out: string;
}

/** Rate over the last few seconds, as the screen shows it. */
const meter = (windowMs = 5_000): { tick(): void; perSecond(): number } => {
  const ticks: number[] = [];
  const start = Date.now();
  const trim = (): void => {
    while (ticks.length > 0 && (ticks[0] ?? 0) < Date.now() - windowMs) ticks.shift();
  };
  return {
    tick: () => void ticks.push(Date.now()),
    perSecond: () => {
      trim();
      return ticks.length / (Math.min(windowMs, Math.max(1, Date.now() - start)) / 1000);
    },
  };
};

/** "trusted 23 frames ahead; skill at lead 10: 0.61", for people. */
const trustWords = ({ trustedLeads, stride, horizon, outlook }: Forecast): string => {
  const lead = Math.min(10, horizon);
  const skill = outlook?.[lead - 1]?.skill;
  const trusted =
    trustedLeads === 0
      ? 'not trusted yet'
      : `trusted ${trustedLeads * stride} ${trustedLeads * stride === 1 ? 'frame' : 'frames'} ahead`;
  return skill === undefined ? trusted : `${trusted}; skill at lead ${lead}: ${skill.toFixed(2)}`;
};

export interface FollowOptions {
  /** Sees every event too. */
  readonly watch?: (event: RunEvent) => void;
  /** Reads the settings again, for SIGHUP. Without it SIGHUP does what it does to other programs. */
  readonly reread?: (() => Promise<AttachConfig>) | undefined;
}

/**
 * What `mesocast attach` does: attaches, shows how it goes, takes up changed settings at SIGHUP, drains at the first signal
 * to stop, and resolves when the run is over.
 */
export const follow = async (
  config: AttachConfig,
  ui: Ui,
  { watch = () => undefined, reread }: FollowOptions = {},
): Promise<Followed> => {
  const { attachDaemon } = await import('../pipeline/daemon.js');
  const hangUps = reread === undefined ? undefined : onHangUp();
  const run = await attachDaemon(config).catch((error: unknown) => {
    hangUps?.release();
    throw error;
  });
  ui.say(
    `following ${describeRoots(config)}: ${config.horizon} frames ahead from each frame, once ${config.context} are there (Ctrl-C ends it)`,
  );
  /** Of all forecasts and series. */
  let sums: SkillSums = {};
  const rate = meter();
  const screen = ui.progress('frames', config.frames);
  let frames = 0;
  let forecasts = 0;
  let trust = '';
  const trusted: Record<string, number> = {};
  const release = onStopSignal((signal) => {
    ui.warn(`${signal}: finishing what was read (once more to quit at once)`);
    run.stop();
  });
  if (reread !== undefined)
    hangUps?.each(() => {
      ui.warn('SIGHUP: reading the settings again');
      void run.reload(reread);
    });
  const show = (): void => {
    const parts = [`${rate.perSecond().toFixed(1)}/s`, `${forecasts} forecasts`, trust];
    screen.update(frames, parts.filter((part) => part !== '').join('  '));
  };
  const subscription = run.events$.subscribe({
    next: (event) => {
      watch(event);
      if (event.type === 'notice') {
        ui.warn(event.message);
        return;
      }
      if (event.type === 'frame') {
        frames++;
        rate.tick();
      } else if (event.type === 'forecast') {
        forecasts++;
        trust = trustWords(event.forecast);
        trusted[event.forecast.series] = event.forecast.trustedLeads * event.forecast.stride;
      } else sums = withScore(sums, event.score.horizon, event.score.leads);
      show();
    },
  });
  try {
    const summary = await run.finished;
    const total = Object.values(summary.frames).reduce((sum, count) => sum + count, 0);
    return {
      ...summary,
      skill: skillByLead([sums]),
      trusted,
      framesPerSecond: summary.seconds > 0 ? total / summary.seconds : 0,
      out: resolve(run.config().out),
    };
  } finally {
    subscription.unsubscribe();
    screen.stop();
    release();
    hangUps?.release();
  }
};

const outcomes: Readonly<Record<Outcome, string>> = {
  forecast: 'forecast from',
  observed: 'observed only',
  'warm-up': 'warm-up',
  rejected: 'rejected',
  lost: 'lost',
};

/** Of a sink that did not take everything. */
const troubleLine = (sink: string, counts: DeliveryCounts): string[] => {
  const { delivered, dropped, refused, waiting, queued } = counts;
  if (dropped + refused + waiting + queued === 0) return [];
  const parts = [`${delivered} delivered`];
  if (dropped > 0) parts.push(`${dropped} dropped`);
  if (refused > 0) parts.push(`${refused} refused and put aside`);
  if (waiting > 0) parts.push(`${waiting} waiting on disk`);
  if (queued > 0) parts.push(`${queued} not delivered, which come again in the next run`);
  return [`sink       ${sink}: ${parts.join(', ')}${refused + waiting > 0 ? ' (mesocast replay)' : ''}`];
};

/** The summary for people. */
export const followedLines = (followed: Followed): string[] => {
  const counts = Object.entries(outcomes).flatMap(([outcome, words]) => {
    const count = followed.frames[outcome as Outcome];
    return count > 0 ? [`${count} ${words}`] : [];
  });
  const total = Object.values(followed.frames).reduce((sum, count) => sum + count, 0);
  if (followed.revised > 0) counts.push(`${followed.revised} changed after they were read`);
  if (followed.missing > 0) counts.push(`${followed.missing} numbers never appeared`);
  const trusted = Object.entries(followed.trusted);
  const ahead = trusted.map(([, frames]) => frames);
  const shortest = Math.min(...ahead);
  const skill = Object.entries(followed.skill).map(([lead, value]) => `lead ${lead}: ${value.toFixed(3)}`);
  return [
    `frames     ${total} in ${followed.seconds.toFixed(1)} s (${followed.framesPerSecond.toFixed(1)}/s)${counts.length > 0 ? `: ${counts.join(', ')}` : ''}`,
    `forecasts  ${followed.forecasts}, scores ${followed.scores.final} final and ${followed.scores.expired} expired`,
    `skill      ${skill.length > 0 ? `${skill.join(', ')}  (over persistence: 1 is perfect, 0 no better than "nothing changes")` : 'nothing was scored yet'}`,
    ...(trusted.length === 0
      ? []
      : [
          `trusted    ${trusted.length === 1 || shortest === Math.max(...ahead) ? shortest : `${shortest} to ${Math.max(...ahead)}`} frames ahead  (skill over persistence positive with 90 % confidence, by verified forecasts)`,
        ]),
    ...Object.entries(followed.deliveries).flatMap(([sink, counts]) => troubleLine(sink, counts)),
    `output     ${followed.out}`,
  ];
};
