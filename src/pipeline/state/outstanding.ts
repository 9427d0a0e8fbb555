import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isTemporary } from '../atomic.js';
import { messageOf, StateError } from '../errors.js';
import type { LeadSlice } from '../delivery/forecast-file.js';
import { forecastFileSize, readLeadSlice, writeForecastFile } from '../delivery/forecast-file.js';
import type { Forecast, LeadScore, Score } from '../forecast.js';

/** What the ledger keeps of a forecast until its score was delivered. */
export interface ForecastRecord extends Omit<
  Forecast,
  'frames' | 'sampleType' | 'trustedLeads' | 'uncertainty'
> {
  /** Leads scored so far, in the order their frames came. */
  readonly leads: readonly LeadScore[];
  /** Set when nothing more can come; the record stays until its score was delivered. */
  readonly ended?: { readonly status: Score['status']; readonly reason?: string };
}

/** Where records are kept. The ledger is one. */
export interface ForecastStore {
  /** Everything put and not finished. */
  outstanding(): Iterable<ForecastRecord>;
  /** The score of this forecast was delivered before: it must not be registered again. */
  isFinished(forecast: Pick<Forecast, 'id' | 'series' | 'index'>): boolean;
  /** Adds or replaces; durable when it resolves. */
  put(records: readonly ForecastRecord[]): Promise<void>;
  /** Delivered: the records go; their ids stay known while their frames may come again. Durable when it resolves. */
  finish(ids: readonly string[]): Promise<void>;
}

/**
 * The forecasts that wait for their truth. Frames are in one file per forecast, what was scored is in the store, so
 * that all of it survives a crash.
 */
export interface Outstanding {
  /** Records that still wait, oldest first; of one series if it is given. */
  waiting(series?: string): readonly ForecastRecord[];
  /** Ended, but `settle` was not called: their scores have to be delivered, again after a crash. */
  unsettled(): readonly ForecastRecord[];
  /**
   * Adds a forecast, whose frames here are all the forecaster's own: its file and record are durable when this resolves. Nothing happens for one that is known already.
   * Gives the records that expired because the files would have exceeded the quota, perhaps this one too.
   */
  register(
    forecast: Forecast,
    last: Float32Array,
    previous: Float32Array,
  ): Promise<readonly ForecastRecord[]>;
  /** @throws StateError when the forecast's file is gone or damaged */
  read(record: ForecastRecord, lead: number): Promise<LeadSlice>;
  /** Keeps new lead scores. The file of a record that ended is removed. */
  update(records: readonly ForecastRecord[]): Promise<void>;
  /** The orderly end of a run: everything that waits expires. Gives all unsettled records, to be delivered and settled. */
  expireAll(reason: string): Promise<readonly ForecastRecord[]>;
  /** Their scores were delivered. Unknown ids are ignored. */
  settle(ids: readonly string[]): Promise<void>;
}

export interface OutstandingOptions {
  /** Folder for the files; it belongs to this alone, and is made if it is not there. */
  readonly directory: string;
  readonly quotaBytes: number;
  readonly store: ForecastStore;
}

/** Takes up what an earlier run left: files without a record are removed. */
export const openOutstanding = async (options: OutstandingOptions): Promise<Outstanding> => {
  const { directory, quotaBytes, store } = options;
  const records = new Map<string, ForecastRecord>();
  /** Those that wait, by series and id: a run has many series that ended, whose last forecasts wait on. */
  const waitingOf = new Map<string, Map<string, ForecastRecord>>();
  const keep = (record: ForecastRecord): void => {
    records.set(record.id, record);
    const ofSeries = waitingOf.get(record.series) ?? new Map<string, ForecastRecord>();
    if (record.ended === undefined) ofSeries.set(record.id, record);
    else ofSeries.delete(record.id);
    if (ofSeries.size > 0) waitingOf.set(record.series, ofSeries);
    else waitingOf.delete(record.series);
  };
  let bytes = 0;
  const sizeOfRecord = (record: ForecastRecord): number => forecastFileSize(record.shape, record.horizon);
  const pathOf = (id: string): string => join(directory, `${id}.f32`);

  const older = (a: ForecastRecord, b: ForecastRecord): number =>
    a.issuedAt < b.issuedAt ? -1 : a.issuedAt > b.issuedAt ? 1 : a.position - b.position;
  for (const record of [...store.outstanding()].sort(older)) {
    keep(record);
    if (record.ended === undefined) bytes += sizeOfRecord(record);
  }
  await mkdir(directory, { recursive: true });
  for (const name of await readdir(directory)) {
    const record = name.endsWith('.f32') ? records.get(name.slice(0, -4)) : undefined;
    const ours = name.endsWith('.f32') || isTemporary(name);
    if (ours && (record === undefined || record.ended !== undefined))
      await rm(join(directory, name), { force: true });
  }

  const waiting = (series?: string): ForecastRecord[] =>
    series === undefined
      ? [...records.values()].filter((record) => record.ended === undefined)
      : [...(waitingOf.get(series)?.values() ?? [])];

  const unsettled = (): ForecastRecord[] =>
    [...records.values()].filter((record) => record.ended !== undefined);

  // The record says "ended" before its file goes: the other way round, a crash between would look like damage.
  const update = async (changed: readonly ForecastRecord[]): Promise<void> => {
    if (changed.length === 0) return;
    const ended = changed.filter(
      ({ id, ended }) => ended !== undefined && records.get(id)?.ended === undefined,
    );
    for (const record of ended) if (records.has(record.id)) bytes -= sizeOfRecord(record);
    for (const record of changed) keep(record);
    await store.put(changed);
    for (const { id } of ended) await rm(pathOf(id), { force: true });
  };
  const expire = async (
    list: readonly ForecastRecord[],
    reason: string,
  ): Promise<readonly ForecastRecord[]> => {
    const ended = list.map((record) => ({ ...record, ended: { status: 'expired' as const, reason } }));
    await update(ended);
    return ended;
  };

  return {
    waiting,
    unsettled,
    register: async (forecast, last, previous) => {
      if (records.has(forecast.id) || store.isFinished(forecast)) return [];
      const record = recordOf(forecast);
      const size = sizeOfRecord(record);
      const quota = `quota: outstanding forecasts may take ${quotaBytes} bytes`;
      if (size > quotaBytes) return expire([record], quota);
      const evicted: ForecastRecord[] = [];
      let excess = bytes + size - quotaBytes;
      for (const candidate of excess > 0 ? waiting() : []) {
        if (excess <= 0) break;
        evicted.push(candidate);
        excess -= sizeOfRecord(candidate);
      }
      const expired = await expire(evicted, quota);
      try {
        await writeForecastFile(pathOf(record.id), forecast, last, previous);
      } catch (cause) {
        throw new StateError(`cannot keep a forecast until its truth comes: ${messageOf(cause)}`, {
          cause,
          hint: 'check that the disk of the state folder has room and can be written, then start again',
        });
      }
      bytes += size;
      await store.put([record]);
      keep(record);
      return expired;
    },
    read: (record, lead) => readLeadSlice(pathOf(record.id), record.shape, record.horizon, lead),
    update,
    expireAll: async (reason) => {
      await expire(waiting(), reason);
      return unsettled();
    },
    settle: async (ids) => {
      const known = ids.filter((id) => records.get(id)?.ended !== undefined);
      if (known.length === 0) return;
      await store.finish(known);
      for (const id of known) records.delete(id);
    },
  };
};

const recordOf = (forecast: Forecast): ForecastRecord => ({
  id: forecast.id,
  series: forecast.series,
  index: forecast.index,
  position: forecast.position,
  issuedAt: forecast.issuedAt,
  horizon: forecast.horizon,
  stride: forecast.stride,
  shape: forecast.shape,
  normalisation: forecast.normalisation,
  ...(forecast.time && { time: forecast.time }),
  forecaster: forecast.forecaster,
  ...(forecast.outlook && { outlook: forecast.outlook }),
  ...(forecast.damping !== undefined && { damping: forecast.damping }),
  leads: [],
});

/** What is told of a forecast that ended, leads ascending. */
export const scoreOf = (record: ForecastRecord): Score => ({
  id: record.id,
  series: record.series,
  index: record.index,
  status: record.ended?.status ?? 'expired',
  ...(record.ended?.reason === undefined ? {} : { reason: record.ended.reason }),
  horizon: record.horizon,
  stride: record.stride,
  ...(record.time && { time: record.time }),
  leads: record.leads.toSorted((a, b) => a.lead - b.lead),
  forecaster: record.forecaster,
});
