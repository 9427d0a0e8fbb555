import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import type { Outcome } from './suite/outcome.js';
import { BY_NAME } from './suite/skips.js';
import { judge, page } from './suite/table.js';

const MINUTES = 60_000;

test(
  "tfjs-core's own tests pass on compiled programs, but for those on the list; docs/engine-operators.md says so",
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mesocast-operators-'));
    try {
      const file = join(folder, 'page.md');
      // Exits with 1 and the list on standard output where something is not as expected.
      const { stdout } = await promisify(execFile)(
        process.execPath,
        ['--no-warnings', 'dist/test/engine/suite/main.js', file],
        { maxBuffer: 2 ** 26 },
      ).catch((error: unknown) => ({
        stdout: String((error as { stdout?: string }).stdout) || String(error),
      }));
      expect(stdout.trim()).toBe('');
      expect(await readFile('docs/engine-operators.md', 'utf8')).toBe(await readFile(file, 'utf8'));
    } finally {
      await rm(folder, { recursive: true });
    }
  },
  5 * MINUTES,
);

test('a failure without a reason, and a reason without a failure, are found', () => {
  const expected = Object.entries(BY_NAME).flatMap(([suite, tests]) =>
    Object.keys(tests).map((name): Outcome => ({ suite, test: name, error: 'as expected', programs: 1 })),
  );
  const byError = [
    'cannot hold string tensors',
    "Kernel 'FFT' not registered",
    'a pooling window lies wholly in the padding',
  ].map((error): Outcome => ({ suite: 'one', test: error, error, programs: 0 }));
  const all = [...expected, ...byError];
  expect(judge(all).problems).toEqual([]);
  expect(page(judge(all))).toContain(`0 computed, 0 refused, ${all.length} skipped`);

  const broken: Outcome = { suite: 'matmul', test: 'A x B', error: 'Arrays differ', programs: 1 };
  expect(judge([...all, broken]).problems).toEqual(['matmul: A x B: Arrays differ']);
  const [first, ...others] = all as [Outcome, ...Outcome[]];
  const passes: Outcome = { suite: first.suite, test: first.test, programs: 1 };
  expect(judge([passes, ...others]).problems).toEqual([
    `${first.suite}: ${first.test}: is on the list of skips, but passes or is gone`,
  ]);
  expect(judge(all.slice(0, -1)).problems).toEqual([
    expect.stringMatching(/no test fails with .*padding.* any more/),
  ]);
});
