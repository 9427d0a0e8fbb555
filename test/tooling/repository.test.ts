import { spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mesocast-rules-'));
});
afterAll(() => rm(folder, { recursive: true }));

const manifest = JSON.parse(await readFile('package.json', 'utf8')) as Record<
  'dependencies' | 'devDependencies' | 'peerDependencies',
  Record<string, string>
>;

test('CONTRIBUTING.md says of every dependency why it is there, and of none that is not', async () => {
  const page = (await readFile('CONTRIBUTING.md', 'utf8')).split('## Dependencies')[1] ?? '';
  const named = [...page.matchAll(/^- (`.*?`): \S/gm)].flatMap(([, names = '']) =>
    [...names.matchAll(/`([^`]+)`/g)].map(([, name]) => name),
  );
  expect(named.sort()).toEqual(
    [...Object.keys(manifest.dependencies), ...Object.keys(manifest.devDependencies)].sort(),
  );
  for (const name of Object.keys(manifest.peerDependencies)) expect(page).toContain(`\`${name}\``);
});

test('the lock file has every dependency and no registry addresses', async () => {
  const lock = JSON.parse(await readFile('package-lock.json', 'utf8')) as {
    packages: Record<
      string,
      { resolved?: string; version?: string; optionalDependencies?: Record<string, string> }
    >;
  };
  const { packages } = lock;
  expect(Object.entries(packages).filter(([, { resolved }]) => resolved !== undefined)).toEqual([]);
  // npm ci refuses a lock file that leaves out packages of other platforms; npm install on one platform may do so.
  const optional = Object.values(packages).flatMap((entry) => Object.keys(entry.optionalDependencies ?? {}));
  expect(
    optional.filter((name) => !Object.keys(packages).some((path) => path.endsWith(`node_modules/${name}`))),
  ).toEqual([]);
});

/** What each rule is about, as files that break it. */
const violations: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'only-the-registry-names-plugins': {
    'src/cli/a.ts': "import '../../plugins/codecs/b.js';",
    'plugins/codecs/b.ts': 'export {};',
  },
  'plugins-stand-alone': {
    'plugins/sinks/a.ts': "import '../codecs/b.js';",
    'plugins/codecs/b.ts': 'export {};',
  },
  'plugins-import-contracts-only': {
    'plugins/sinks/a.ts': "import '../../src/pipeline/runner.js';",
    'src/pipeline/runner.ts': 'export {};',
  },
  'networks-are-pure-tfjs': { 'plugins/encoders/a.ts': "import 'rxjs';" },
  'stages-stand-alone': { 'src/stages/a.ts': "import './b.js';", 'src/stages/b.ts': 'export {};' },
  'stages-are-joined-by-the-runner': {
    'src/cli/a.ts': "import '../stages/b.js';",
    'src/stages/b.ts': 'export {};',
  },
  'runtimes-in-the-engine-only': {
    'src/pipeline/a.ts': "import 'onnxruntime-node';",
    'src/training/b.ts': "import '@tensorflow/tfjs';",
  },
  'training-knows-no-network': {
    'src/training/a.ts': "import '../../plugins/encoders/b.js';",
    'plugins/encoders/b.ts': 'export {};',
  },
  'commands-are-the-top': { 'src/pipeline/a.ts': "import '../cli/b.js';", 'src/cli/b.ts': 'export {};' },
  'no-undeclared-packages': { 'src/pipeline/a.ts': "import 'typescript';" },
  'no-cycles': {
    'src/pipeline/a.ts': "import type { B } from './b.js'; export interface A { b: B }",
    'src/pipeline/b.ts': "import type { A } from './a.js'; export interface B { a: A }",
  },
};

test.each(Object.entries(violations))('the import rule %s catches a violation', async (rule, files) => {
  const project = join(folder, rule);
  await mkdir(project);
  for (const name of ['.dependency-cruiser.cjs', 'tsconfig.json', 'package.json'])
    await cp(name, join(project, name));
  await symlink(join(process.cwd(), 'node_modules'), join(project, 'node_modules'), 'junction');
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(project, path)), { recursive: true });
    await writeFile(join(project, path), text);
  }
  const cruiser = join(process.cwd(), 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
  const roots = [...new Set(Object.keys(files).map((path) => path.split('/')[0] ?? ''))];
  const { status, stdout } = spawnSync(process.execPath, [cruiser, '--output-type=err', ...roots], {
    cwd: project,
    encoding: 'utf8',
  });
  expect(stdout).toContain(`error ${rule}:`);
  expect(status).not.toBe(0);
});
