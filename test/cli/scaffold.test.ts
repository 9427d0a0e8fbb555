import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { installedPlugins } from '../../src/pipeline/plugins/installed-plugins.js';
import { mesocast } from '../support/cli.js';

let home: string;
beforeAll(async () => {
  // As after `npm install` of mesocast and what the scaffold depends on.
  home = await mkdtemp(join(tmpdir(), 'mesocast-scaffold-'));
  for (const scope of ['@types', '@tensorflow'])
    await mkdir(join(home, 'node_modules', scope), { recursive: true });
  await symlink(process.cwd(), join(home, 'node_modules/mesocast'), 'junction');
  for (const name of ['typescript', '@types/node', 'undici-types', '@tensorflow/tfjs-core'])
    await symlink(join(process.cwd(), 'node_modules', name), join(home, 'node_modules', name), 'junction');
});
afterAll(() => rm(home, { recursive: true }));
const run = (cwd: string, ...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd, encoding: 'utf8' });
  return { status, output: status === 0 ? '' : stdout + stderr };
};

test.each(['sink', 'codec', 'predictor'])(
  'a new %s compiles, passes its tests, and is listed once it is installed',
  async (kind) => {
    const name = `lab-${kind}-2`;
    const { code, stderr } = await mesocast(['plugins', 'new', kind, name], { cwd: home });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const folder = join(home, name);
    expect(run(folder, join(home, 'node_modules/typescript/bin/tsc'))).toEqual({ status: 0, output: '' });
    expect(run(folder, '--test', 'dist/test/index.test.js')).toEqual({ status: 0, output: '' });
    expect(await readFile(join(folder, 'src/index.ts'), 'utf8')).toContain(`name: 'lab_${kind}_2'`);

    await symlink(folder, join(home, 'node_modules', name), 'junction');
    await writeFile(
      join(home, 'package.json'),
      JSON.stringify({ dependencies: { [name]: '*', sharp: '*' } }),
    );
    const listed = await mesocast(['plugins', `${kind}s`, '--json'], { cwd: home });
    expect(JSON.parse(listed.stdout)).toMatchObject({
      installed: [{ package: `${name}@0.1.0`, kind, name, summary: expect.any(String) }],
    });
    // A plugin for another version of the contracts does not load, and the list says so.
    const built = join(folder, 'dist/src/index.js');
    await writeFile(
      built,
      (await readFile(built, 'utf8')).replace(/(export const \w+ = )(\w+\([^]*\));/, '$1{ ...$2, api: 99 };'),
    );
    const refused = await mesocast(['plugins'], { cwd: home });
    expect(refused.stdout).toContain(
      `${name}@0.1.0 does not work: ${kind} "${name}" is written for plugin API 99, this mesocast has 1`,
    );
  },
);

test('a source is no kind of package: no setting can name one', async () => {
  const project = join(home, 'with-source');
  const folder = join(project, 'node_modules/lab-source');
  await mkdir(folder, { recursive: true });
  await writeFile(join(project, 'package.json'), JSON.stringify({ dependencies: { 'lab-source': '*' } }));
  const facts = { version: '0.1.0', keywords: ['mesocast-plugin'], mesocast: { kind: 'source' } };
  await writeFile(join(folder, 'package.json'), JSON.stringify(facts));
  expect(await installedPlugins(project)).toEqual([
    { package: 'lab-source@0.1.0', problem: expect.stringContaining('says no kind') },
  ]);
});

test.each([
  [['new', 'sink'], /something is missing: mesocast plugins new KIND NAME/],
  [['new', 'sink', '../up'], /"..\/up" is no name for a package/],
  [['new', 'sink', 'webhook'], /webhook is a sink of mesocast's own/],
  [['new', 'soup', 'x'], /no package to begin a "soup" with \(kinds: sink, codec/],
  [['new', 'sink', 'node_modules'], /"node_modules" is no name/],
  [['new', 'sink', 'taken'], /taken is there already and not empty/],
  [['soup'], /there are no plugins of kind "soup"/],
  [['sinks', 'more'], /unexpected argument more/],
])('plugins %j is refused in one line', async (args, message) => {
  await mkdir(join(home, 'taken/x'), { recursive: true });
  const { code, stderr } = await mesocast(['plugins', ...args], { cwd: home });
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(message) });
});
