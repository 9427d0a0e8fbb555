import { Subject } from 'rxjs';
import type { Entry } from '../../src/pipeline/frame.js';
import type { Ledger } from '../../src/pipeline/ledger/ledger.js';
import type { Hint, Incomplete, Source } from '../../src/pipeline/plugins/plugin.js';
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
  /** That these files may have changed, or anything. */
  hint(paths?: readonly string[]): void;
  /** What the validator says. */
  validate(entry: Entry): Promise<Incomplete>;
  /** While true, scans find nothing. */
  gone: boolean;
  readonly scans: number;
  /** Milliseconds that a scan takes. */
  scanTakes: number;
}

/** Without `looks` it can only be scanned. */
export const fakeFolder = ({ looks = false } = {}): FakeFolder => {
  const files = new Map<string, { entry: Entry; verdict: string | undefined }>();
  const hints = new Subject<Hint>();
  let changes = 0;
  let scans = 0;
  const folder: FakeFolder = {
    gone: false,
    scanTakes: 0,
    put: (path, index, { series = 's', verdict, mtime = Date.now() } = {}) => {
      const revision = { size: ++changes, mtimeNs: String(BigInt(mtime) * 1_000_000n) };
      const entry = { series, index, path, revision };
      files.set(path, { entry, verdict });
      return entry;
    },
    remove: (path) => {
      files.delete(path);
    },
    hint: (paths) => {
      hints.next(paths);
    },
    validate: ({ path }) => Promise.resolve(files.get(path)?.verdict),
    get scans() {
      return scans;
    },
    open: () => Promise.resolve(),
    scan: async () => {
      scans++;
      if (folder.scanTakes > 0) await new Promise((resolve) => setTimeout(resolve, folder.scanTakes));
      return folder.gone ? [] : [...files.values()].map(({ entry }) => entry).reverse();
    },
    isThere: (path) => Promise.resolve(!folder.gone && files.has(path)),
    ...(looks && {
      look: (paths: readonly string[]) =>
        Promise.resolve(paths.flatMap((path) => files.get(path)?.entry ?? [])),
    }),
    hints,
    close: () => Promise.resolve(),
  };
  return folder;
};
