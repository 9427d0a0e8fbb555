/**
 * Runs tfjs-core's own operator tests on compiled programs, in a process of its own, and writes the page of docs/ about
 * them: `node dist/test/engine/suite/main.js page.md [provider] [part of a file's name]`. Prints what nobody expected.
 */
import { readdirSync, writeFileSync } from 'node:fs';
import { createRequire, register } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { onnxEngine } from '../../../src/engine/index.js';
import { BACKEND, registerRecording } from './backend.js';
import { format, resolveConfig } from 'prettier';
import type { Outcome } from './outcome.js';
import { judge, page } from './table.js';

interface Spec {
  readonly fullName: string;
  readonly failedExpectations: readonly { readonly message: string }[];
}
interface Reporter {
  readonly specStarted: () => void;
  readonly specDone: (spec: Spec) => void;
}
interface Environment {
  configure(options: object): void;
  addReporter(reporter: Reporter): void;
  execute(): Promise<unknown>;
}

const [, , file = 'docs/engine-operators.md', provider = 'cpu', wanted = ''] = process.argv;
const require = createRequire(import.meta.url);
const dist = join(require.resolve('@tensorflow/tfjs-core'), '..');
const load = (path: string): Promise<unknown> => import(pathToFileURL(join(dist, path)).href);
const testsIn = (folder: string): string[] =>
  readdirSync(join(dist, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('_test.js'))
    .map((name) => join(folder, name))
    .sort();

// The tests are written for jasmine's global functions, and for CommonJS's `require`.
const { boot } = require('jasmine-core') as {
  boot: () => { getEnv(): Environment; DEFAULT_TIMEOUT_INTERVAL: number };
};
const jasmine = boot();
jasmine.DEFAULT_TIMEOUT_INTERVAL = 60_000; // slow machines and software GPUs are right too
const environment = jasmine.getEnv();
environment.configure({ random: false, forbidDuplicateNames: false });
Object.assign(globalThis, { require });
register('./loader.js', import.meta.url);

const engine = onnxEngine({ provider, threads: 1 });
const programs = registerRecording(engine);
const { setTestEnvs } = (await load('jasmine_util.js')) as { setTestEnvs: (all: object[]) => void };
setTestEnvs([{ name: BACKEND, backendName: BACKEND, isDataSync: false }]);
for (const path of [...testsIn('ops'), ...testsIn('optimizers'), 'gradients_test.js']) {
  if (path.includes(wanted)) await load(path);
}
Error.stackTraceLimit = 5; // the tests' helpers lift it

/** A suite is called "conv2d mesocast {}": those without the backend's name compute nothing (shapes, arguments). */
const MARK = ` ${BACKEND} {} `;
const outcomes: Outcome[] = [];
let before = 0;
environment.addReporter({
  specStarted: () => {
    before = programs();
  },
  specDone: ({ fullName, failedExpectations: [failure] }) => {
    const at = fullName.indexOf(MARK);
    if (at < 0) return;
    outcomes.push({
      suite: fullName.slice(0, at).trim(),
      test: fullName.slice(at + MARK.length),
      ...(failure === undefined ? {} : { error: failure.message }),
      programs: programs() - before,
    });
  },
});
await environment.execute();
await engine.dispose();
const verdict = judge(outcomes);
const options = await resolveConfig('docs/engine-operators.md');
writeFileSync(file, await format(page(verdict), { ...options, parser: 'markdown' }));
// eslint-disable-next-line no-console -- a program of its own
console.log(verdict.problems.join('\n'));
process.exitCode = verdict.problems.length === 0 ? 0 : 1;
