import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { countSinkFolder, sinksWithFiles } from '../delivery/sink-folder.js';
import type { SinkHealth } from '../delivery/sink-set.js';
import type { Waiting } from '../intake/series-tracker.js';
import { readLedger } from '../ledger/ledger.js';
import type { LedgerCounts } from '../ledger/records.js';
import { skillByLead } from '../skill-sums.js';
import { findState } from '../state/find-state.js';
import { holderOf } from '../state/state-folder.js';
import { readHeartbeat, type Heartbeat, type NewestForecast } from './heartbeat.js';

/** One series, since its ledger was begun. */
export interface SeriesStatus extends LedgerCounts {
  readonly last?: { readonly index: number; readonly at?: string };
  /** Handed on and without an outcome. */
  readonly onTheirWay: number;
  /** Files that were seen and not handed on, when the daemon last said so. */
  readonly waiting?: Waiting;
  /** The newest forecast of the run, when the daemon last said so. */
  readonly newest?: NewestForecast;
  /** Forecasts that wait for their truth. */
  readonly outstanding: number;
  readonly skill: Readonly<Record<string, number>>;
}

/** How a run is, or was when it ended. */
export interface Status {
  /** `starting`: what is known of it is of a run before. `killed`: it is gone, and did not end in order. */
  readonly run: 'starting' | 'running' | 'ended' | 'killed';
  readonly process?: { readonly pid: number; readonly host: string };
  readonly heartbeat?: Omit<Heartbeat, 'waiting' | 'newest' | 'sinks' | 'version' | 'ended' | 'since'>;
  readonly state: string;
  readonly series: Readonly<Record<string, SeriesStatus>>;
  readonly skill: Readonly<Record<string, number>>;
  readonly sinks: Readonly<
    Record<string, Partial<SinkHealth> & { readonly waitingOnDisk: number; readonly refusedOnDisk: number }>
  >;
  /** Bytes on disk, by part; absent where nobody asked. */
  readonly disk?: Readonly<Record<'ledger' | 'outstanding' | 'deliveries' | 'learning' | 'out', number>>;
}

/**
 * Reads how a run is from its output or state folder, whether it runs or not. Changes nothing.
 * `withDisk`: sizes of files are added up, one by one, which takes minutes where there are millions of them.
 * @throws UsageError when the folder is no run's, StateError when its ledger cannot be read
 */
export const readStatus = async (directory: string, { withDisk = true } = {}): Promise<Status> => {
  const state = findState(directory);
  const [holder, beat] = [holderOf(state), await readHeartbeat(state)];
  const ledger = readLedger(state);
  try {
    const outstanding = new Map<string, number>();
    for (const { series, ended } of ledger.forecasts.outstanding())
      if (ended === undefined) outstanding.set(series, (outstanding.get(series) ?? 0) + 1);
    const names = [...new Set([...ledger.seriesNames(), ...Object.keys(beat?.waiting ?? {})])].sort();
    const statusOf = (series: string): SeriesStatus => {
      const { kept: _, forgottenTo: _to, skill, ...counts } = ledger.countsOf(series);
      const index = ledger.lastFinished(series);
      const at = index === undefined ? undefined : ledger.frame(series, index)?.at;
      const [waiting, newest] = [beat?.waiting[series], beat?.newest?.[series]]; // older versions did not write the latter
      return {
        ...counts,
        ...(index !== undefined && {
          last: { index, ...(at !== undefined && { at: new Date(at).toISOString() }) },
        }),
        onTheirWay: ledger.unfinished(series).length,
        ...(waiting !== undefined && { waiting }),
        ...(newest !== undefined && { newest }),
        outstanding: outstanding.get(series) ?? 0,
        skill: skillByLead([skill]),
      };
    };
    return {
      run: runOf(holder, beat),
      ...(holder !== undefined && { process: { pid: holder.pid, host: holder.host } }),
      ...(beat !== undefined && { heartbeat: withoutParts(beat) }),
      state,
      series: Object.fromEntries(names.map((name) => [name, statusOf(name)])),
      skill: skillByLead(names.map((name) => ledger.countsOf(name).skill)),
      sinks: await sinksOf(state, beat),
      ...(withDisk && {
        disk: {
          ledger: await bytesOf(join(state, 'ledger.mdb')),
          outstanding: await bytesOf(join(state, 'outstanding')),
          deliveries: await bytesOf(join(state, 'deliveries')),
          learning: await bytesOf(join(state, 'learning')),
          out: beat === undefined ? 0 : await bytesOf(beat.out, state),
        },
      }),
    };
  } finally {
    await ledger.close();
  }
};

const runOf = (holder: ReturnType<typeof holderOf>, beat: Heartbeat | undefined): Status['run'] => {
  if (holder === undefined) return beat?.ended === false ? 'killed' : 'ended';
  if (beat === undefined) return 'starting';
  // Moments alone do not tell where the clock was set back.
  const isItsOwn =
    beat.since === undefined ? beat.writtenAt >= (holder.since ?? '') : beat.since === holder.since;
  return isItsOwn ? 'running' : 'starting';
};

const withoutParts = ({
  waiting: _,
  newest: _n,
  sinks: _s,
  version: _v,
  ended: _e,
  since: _t,
  ...rest
}: Heartbeat) => rest;

const sinksOf = async (state: string, beat: Heartbeat | undefined): Promise<Status['sinks']> => {
  const names = [...new Set([...Object.keys(beat?.sinks ?? {}), ...(await sinksWithFiles(state))])];
  const all = names.map(async (name) => {
    return [name, { ...beat?.sinks[name], ...(await countSinkFolder(state, name)) }] as const;
  });
  return Object.fromEntries(await Promise.all(all));
};

/** Bytes of a file, or of all files below a folder but for those below `except`. What goes away meanwhile is nothing. */
const bytesOf = async (path: string, except?: string): Promise<number> => {
  if (path === except) return 0;
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return 0;
  if (!found.isDirectory()) return found.size;
  let bytes = 0;
  for (const name of await readdir(path).catch(() => [])) bytes += await bytesOf(join(path, name), except);
  return bytes;
};
