import type { Key, RootDatabase } from 'lmdb';
import type { ForecastRecord } from '../state/outstanding.js';
import { openCounts } from './counts.js';
import { forecastStore } from './forecast-store.js';
import { frameLedger } from './frame-ledger.js';
import type { FrameRecord, LedgerCounts, SeriesRecord } from './records.js';
import { openStore } from './store.js';
import { verifiedStore, type VerifiedRow } from './verified-store.js';

/** Frames written together. */
const BATCH = 1000;

/**
 * Writes what a ledger of version 1 holds as one of version 2. Version 1 counted all series together: what no record
 * tells of is put down to the only series, or to one without a name.
 */
export const migrateFrom1 = async (from: RootDatabase, target: string): Promise<void> => {
  const all = (name: string): Iterable<{ key: Key; value: unknown }> => from.openDB(name, {}).getRange();
  const tables = [...from.getKeys()].map(String);
  const store = openStore(target);
  store.putVersion(2);
  const counting = openCounts(store);
  const ledger = frameLedger(store, counting, { keep: Infinity, now: () => undefined });
  const notes = store.table<unknown>('notes');

  for (const { value } of all('series')) ledger.putSeries(value as SeriesRecord);
  let written = 0;
  for (const { value } of all('frames')) {
    const record = value as FrameRecord;
    if (record.outcome === undefined) ledger.putFrame(record);
    else ledger.finish(record, record.outcome, record);
    if (++written % BATCH === 0) await store.durable();
  }
  for (const { value } of all('duplicates')) {
    const record = value as FrameRecord;
    ledger.finish(record, record.outcome ?? 'rejected', record);
  }
  await forecastStore(store, counting, ledger).put(
    [...all('forecasts')].map(({ value }) => value as ForecastRecord),
  );
  const verified = verifiedStore(store);
  if (tables.includes('verified'))
    for (const { value } of all('verified')) verified.put(value as VerifiedRow);
  for (const { key, value } of all('meta')) {
    const [what, name] = [key].flat();
    if (what === 'note' && typeof name === 'string') notes.put([name], value);
    if (what !== 'counts') continue;
    const { revised, missing, scores } = value as LedgerCounts;
    const [only, ...others] = ledger.allSeries();
    const series = only !== undefined && others.length === 0 ? only.series : '';
    counting.update(series, (counts) => ({ ...counts, revised, missing, scores }));
  }
  await store.durable();
  await store.close();
};
