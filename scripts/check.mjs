// Format, build with types, lint, import rules, tests: what has to hold before a change goes in. Installs nothing.
// --verify also packs the package and uses it from an empty folder. Every step runs, whatever failed before it;
// the last line counts jest's tests plus each other step as one.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

process.chdir(join(dirname(fileURLToPath(import.meta.url)), '..'));
const total = { passed: 0, failed: 0, skipped: 0 };
const scratch = mkdtempSync(join(tmpdir(), 'mesocast-check-'));
const testResults = join(scratch, 'jest.json');

const run = (name, args) => {
  console.log(`\n-- ${name}`);
  const start = Date.now();
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' });
  console.log(
    `-- ${name}: ${status === 0 ? 'ok' : 'FAILED'} (${((Date.now() - start) / 1000).toFixed(1)} s)`,
  );
  return status === 0;
};
const count = (passed) => (passed ? total.passed++ : total.failed++);
const step = (name, ...args) => {
  const passed = run(name, args);
  count(passed);
  return passed;
};

/** Adds jest's numbers. A test file that cannot even be loaded has no tests to count: it is one failure. */
const tests = () => {
  const passed = run('tests', [
    'scripts/jest.mjs',
    '--json',
    `--outputFile=${testResults}`,
    ...(process.env.JEST_ARGS?.split(' ') ?? []),
  ]);
  try {
    const results = JSON.parse(readFileSync(testResults, 'utf8'));
    total.passed += results.numPassedTests;
    total.failed += results.numFailedTests + results.numRuntimeErrorTestSuites;
    total.skipped += results.numPendingTests + results.numTodoTests;
    if (!passed && results.numFailedTests + results.numRuntimeErrorTestSuites === 0) total.failed++;
  } catch {
    console.log('jest left no results behind');
    total.failed++;
  }
};

step('format', 'node_modules/prettier/bin/prettier.cjs', '--check', '--log-level=warn', '.');
const built = step('types and build', 'scripts/build.mjs');
step('lint', 'node_modules/eslint/bin/eslint.js', '.');
step(
  'import rules',
  'node_modules/dependency-cruiser/bin/dependency-cruise.mjs',
  '--output-type=err',
  'src',
  'plugins',
  'test',
  'bench',
);
if (built) tests();
else {
  console.log('\n-- tests: not run, the build failed');
  total.failed++;
}
if (process.argv.includes('--verify')) {
  if (built) step('package', 'scripts/pack-test.mjs');
  else total.failed++;
}

rmSync(scratch, { recursive: true, force: true });
console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(total.failed === 0 ? 0 : 1);
