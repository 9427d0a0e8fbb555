import { forecastId } from '../../src/stages/decode.js';
import type { Outcome } from '../../src/pipeline/run.js';
import { openLedger } from '../../src/pipeline/ledger/ledger.js';
import type { Truth } from './frames.js';

const TAKEN: readonly (Outcome | undefined)[] = ['forecast', 'observed', 'warm-up'];

/** Compares what the ledger says became of frames with what was written. */
export const accountFrames = async (
  state: string,
  truth: Truth,
  expected: (series: string, index: number) => 'taken' | 'rejected' = () => 'taken',
): Promise<{ frames: number; lost: number; torn: number; revised: number; examples: string[] }> => {
  const ledger = openLedger(state);
  const account = { frames: 0, lost: 0, torn: 0, revised: ledger.counts().revised, examples: [] as string[] };
  if (ledger.notice !== undefined) account.examples.push(ledger.notice);
  for (const [series, frames] of truth) {
    for (const [index, hash] of frames) {
      account.frames++;
      const { outcome, contentHash, reason } = ledger.frame(series, index) ?? {};
      const taken = TAKEN.includes(outcome);
      const complain = (what: string): void => {
        if (account.examples.length < 5)
          account.examples.push(`${series} ${index}: ${what}${reason === undefined ? '' : ` (${reason})`}`);
      };
      if (expected(series, index) === 'taken' ? !taken : outcome !== 'rejected') {
        account.lost++;
        complain(outcome ?? 'no outcome');
      } else if (taken && contentHash !== hash) {
        account.torn++;
        complain('taken with other contents');
      }
    }
  }
  await ledger.close();
  return account;
};

/** Keys of all forecasts of series without gaps, and of their scores. */
export const expectedKeys = (truth: Truth, context: number, horizon: number, every = 1): Set<string> => {
  const keys = new Set<string>();
  for (const [series, frames] of truth) {
    const first = Math.min(...frames.keys());
    for (const [index, contentHash] of frames) {
      const since = index - first - (context - 1);
      if (since < 0 || since % every !== 0) continue;
      const id = forecastId({ series, index, contentHash }, horizon, 1);
      keys.add(id).add(`${id}.score`);
    }
  }
  return keys;
};

/** Something that a sink got. */
export interface Message {
  readonly key: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Compares what a sink got with the keys that it should have. */
export const accountMessages = (
  sink: string,
  messages: readonly Message[],
  expected: ReadonlySet<string>,
): { missing: number; repeats: number; unknown: number; examples: string[] } => {
  const seen = new Map<string, string>();
  let [repeats, unknown] = [0, 0];
  const examples: string[] = [];
  for (const { key, body } of messages) {
    // When it was issued, and how far forecasts were to be trusted at that time, may differ.
    const { issuedAt: _, trustedLeads: _t, ...facts } = body;
    const text = JSON.stringify(facts);
    const before = seen.get(key);
    if (before !== undefined) repeats++;
    if ((before ?? text) !== text || !expected.has(key)) {
      unknown++;
      if (examples.length < 3) examples.push(`${sink}: ${key} ${before ?? 'is not expected'} / ${text}`);
    }
    seen.set(key, text);
  }
  const missing = [...expected].filter((key) => !seen.has(key));
  if (missing[0] !== undefined) examples.push(`${sink}: ${missing.length} missing, such as ${missing[0]}`);
  return { missing: missing.length, repeats, unknown, examples };
};
