import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * One thing that a plugin has to do. Any test runner can run it:
 * `for (const { name, run } of sinkConformance(subject)) test(name, run)`.
 */
export interface ConformanceCase {
  readonly name: string;
  /** Rejects, with what was expected and what came, when the plugin does not do it. */
  readonly run: () => Promise<void>;
}

/** A folder of its own for each use, removed at its end. */
export const inFolder = async (use: (folder: string) => Promise<void>): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'mesocast-conformance-'));
  try {
    await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};
