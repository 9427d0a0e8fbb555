import { instead } from '../../../src/engine/kernels/instead.js';
import type { Outcome } from './outcome.js';
import { BY_ERROR, BY_NAME } from './skips.js';

/** One operation's tests. */
interface Row {
  /** Passed, and values of compiled programs were compared. */
  computed: number;
  /** Passed without a program: arguments that are refused, shapes. */
  refused: number;
  readonly skipped: Map<string, number>;
}

export interface Verdict {
  readonly rows: ReadonlyMap<string, Row>;
  /** Failures without a reason, and reasons without a failure. */
  readonly problems: readonly string[];
}

const reasonOf = ({ suite, test, error = '' }: Outcome, used: Set<unknown>): string | undefined => {
  const named = BY_NAME[suite]?.[test];
  if (named !== undefined) {
    used.add(`${suite}: ${test}`);
    return named;
  }
  for (const entry of BY_ERROR) {
    const found = entry.error.exec(error);
    if (found === null) continue;
    used.add(entry);
    return entry.reason(found);
  }
  return undefined;
};

/** Sorts outcomes into passed and skipped, and finds what is neither. */
export const judge = (outcomes: readonly Outcome[]): Verdict => {
  const rows = new Map<string, Row>();
  const problems: string[] = [];
  const used = new Set<unknown>();
  for (const outcome of outcomes) {
    const { suite, test, error, programs } = outcome;
    const row = rows.get(suite) ?? { computed: 0, refused: 0, skipped: new Map<string, number>() };
    rows.set(suite, row);
    if (error === undefined) {
      if (programs > 0) row.computed++;
      else row.refused++;
      continue;
    }
    const reason = reasonOf(outcome, used);
    if (reason === undefined) problems.push(`${suite}: ${test}: ${error}`);
    else row.skipped.set(reason, (row.skipped.get(reason) ?? 0) + 1);
  }
  for (const [suite, tests] of Object.entries(BY_NAME)) {
    for (const test of Object.keys(tests))
      if (!used.has(`${suite}: ${test}`))
        problems.push(`${suite}: ${test}: is on the list of skips, but passes or is gone`);
  }
  for (const entry of BY_ERROR)
    if (!used.has(entry))
      problems.push(`no test fails with ${String(entry.error)} any more: take it off the list`);
  return { rows, problems };
};

const total = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
const skippedIn = ({ skipped }: Row): number => total([...skipped.values()]);

/** The page for docs/, as Markdown. */
export const page = ({ rows }: Verdict): string => {
  const all = [...rows].sort(([a], [b]) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1));
  const lines = all.map(([suite, row]) => {
    const reasons = [...row.skipped].map(([reason, count]) =>
      row.skipped.size === 1 ? reason : `${count}: ${reason}`,
    );
    return `| ${suite} | ${row.computed} | ${row.refused} | ${skippedIn(row)} | ${reasons.join('; ')} |`;
  });
  const sums = [
    total(all.map(([, row]) => row.computed)),
    total(all.map(([, row]) => row.refused)),
    total(all.map(([, row]) => skippedIn(row))),
  ];
  return `# Operators of the engine

TensorFlow.js ships the tests of its operators, their gradients and its optimisers. Here they run on the engine: each test's operations are traced, optimised, compiled and run by ONNX Runtime on the CPU, and the values compared with what the test expects. \`npm run operators\` writes this page; a test fails when it is not what a run gives.

- **computed**: passed, on values that compiled programs returned.
- **refused**: passed without a program: arguments that are refused, shapes.
- **skipped**: fail, for the reason given.

${sums[0] ?? 0} computed, ${sums[1] ?? 0} refused, ${sums[2] ?? 0} skipped.

| suite | computed | refused | skipped | why |
| --- | --: | --: | --: | --- |
${lines.join('\n')}

## Without a rule

What the error says when one of these is compiled:

${Object.entries(instead)
  .map(([kernel, advice]) => `- \`${kernel}\`: ${advice}`)
  .join('\n')}
`;
};
