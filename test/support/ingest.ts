import { Subject } from 'rxjs';
import type { Entry } from '../../src/pipeline/frame.js';
import type { Ledger } from '../../src/pipeline/ledger/ledger.js';
import type { Incomplete, Source } from '../../src/pipeline/plugins/plugin.js';
import type { RunContext } from '../../src/pipeline/run.js';

/** A run context that keeps what it is told; failures go to the ledger, as the runner's do. */
export const recordingContext = (
  ledger: Ledger,
  signal: AbortSignal,
): RunContext & { readonly failures: string[]; readonly notices: string[] } => {
  const failures: string[] = [];
  const notices: string[] = [];
  return {
    signal,
    failures,
    notices,
    fail: (entry, outcome, reason, kind) => {
      ledger.finish(entry, outcome, { reason, ...(kind !== undefined && { kind }) });
      failures.push(`${entry.series} ${entry.index} ${outcome}: ${reason}`);
    },
    notice: (message) => notices.push(message),
    now: () => new Date(),
  };
};

/** A folder in memory. */
export interface FakeFolder extends Source {
  /** Adds a file or changes it; `verdict` is what the validator says of it from now on. */
  put(path: string, index: number, options?: { series?: string; verdict?: string; mtime?: number }): Entry;
  remove(path: string): void;
  hint(): void;
  /** What the validator says. */
  validate(entry: Entry): Promise<Incomplete>;
  /** While true, scans find nothing. */
  gone: boolean;
  readonly scans: number;
}

export const fakeFolder = (): FakeFolder => {
  const files = new Map<string, { entry: Entry; verdict: string | undefined }>();
  const hints = new Subject<void>();
  let changes = 0;
  let scans = 0;
  const folder: FakeFolder = {
    gone: false,
    put: (path, index, { series = 's', verdict, mtime = Date.now() } = {}) => {
      const revision = { size: ++changes, mtimeNs: String(BigInt(mtime) * 1_000_000n) };
      const entry = { series, index, path, revision };
      files.set(path, { entry, verdict });
      return entry;
    },
    remove: (path) => {
      files.delete(path);
    },
    hint: () => {
      hints.next();
    },
    validate: ({ path }) => Promise.resolve(files.get(path)?.verdict),
    get scans() {
      return scans;
    },
    open: () => Promise.resolve(),
    scan: () => {
      scans++;
      return Promise.resolve(folder.gone ? [] : [...files.values()].map(({ entry }) => entry).reverse());
    },
    hints,
    close: () => Promise.resolve(),
  };
  return folder;
};
