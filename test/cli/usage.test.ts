import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { attachConfig } from '../../src/cli/attach.js';
import { attachGroups, attachSchema } from '../../src/pipeline/config/config.js';
import * as errors from '../../src/pipeline/errors.js';
import { optionsOf } from '../../src/pipeline/config/options.js';
import { mesocast } from '../support/cli.js';

const commands = [
  'attach',
  'forecast',
  'simulate',
  'train',
  'evaluate',
  'calibrate',
  'export',
  'import',
  'doctor',
  'status',
  'ledger',
  'replay',
  'learn',
  'plugins',
  'demo',
];
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mesocast-usage-'));
  await mkdir(join(folder, 'frames'));
  await mkdir(join(folder, 'broken'));
  await mkdir(join(folder, 'dendrite')); // no forecaster, so that the name is that of the one that ships
  await mkdir(join(folder, 'plane_wave'));
  await writeFile(join(folder, 'plane_wave/ensemble.json'), '{ "format": 1');
  await writeFile(join(folder, 'broken/forecaster.json'), '{ "format": 1');
});
afterAll(() => rm(folder, { recursive: true }));

const mistakes: readonly (readonly [line: string, code: number, says: RegExp])[] = [
  ['attac frames', 2, /unknown command attac \(did you mean "attach"\?\)/],
  ['attach frames --horizn 4', 2, /unknown option --horizn \(did you mean --horizon\?\)/],
  ['attach frames --horizon abc', 2, /--horizon is "abc": allowed is a whole number, at least 1/],
  ['attach frames --range 1 0', 2, /--range is \[1,0\]: the second must be larger/],
  ['attach frames --range 1', 2, /--range lacks a value/],
  // Numbers that the parser leaves as text.
  ['attach frames --missing-value 1e20 --range 1 0', 2, /^mesocast: --range is [^;]*$/],
  ['attach frames --missing-value -9.96921e36 --range 1 0', 2, /^mesocast: --range is [^;]*$/],
  ['attach frames --range 0 high', 2, /--range\[1\] is "high": allowed is a number/],
  ['attach ', 2, /directory is "", an empty argument/],
  ['attach frames --out ', 2, /out is "", an empty argument/],
  ['train  --out new', 2, /data is "", an empty argument/],
  ['attach frames --config no.yaml', 2, /no\.yaml: there is no such file/],
  ['attach frames --set jsonl.rotate', 2, /not of the form/],
  ['attach frames --interval 0.9', 2, /--interval belongs to a forecaster/],
  ['attach frames --lagged', 2, /--lagged belongs to a forecaster/],
  [
    'attach frames --forecaster dendrite --lagged --learn adapt',
    2,
    /--learn adapt does not go with --lagged/,
  ],
  [
    'attach frames --forecaster dendrite --interval 0.9 --learn adapt',
    2,
    /--learn adapt does not go with --interval/,
  ],
  [
    'attach frames --forecaster dendrite --ensemble 4 --made-by best',
    2,
    /--made-by best does not go with an ens/,
  ],
  [
    'attach frames --forecaster dendrite --ensemble 4 --symmetries none',
    2,
    /--symmetries does not go with an ens/,
  ],
  ['attach frames --learn-budget 0%', 2, /learn-budget.*share of the cores/],
  ['learn log frames', 2, /nothing was learned in frames/],
  ['attach frames --config a.yaml --config b.yaml', 2, /--config is given twice/],
  ['ledger frames --outcome rejected --outcome lost', 2, /--outcome is given twice|frames/],
  ['simulate dendrite --out new --size 64 --height 128', 2, /--size and --height say the same/],
  ['import weights.safetensors --out new --set vti.field=phi', 2, /--set vti: import reads no frames/],
  ['attach', 2, /the directory to attach to is missing/],
  ['attach nowhere', 3, /nowhere/],
  ['attach frames --sink nosuch', 2, /there is no sink "nosuch"/],
  ['attach frames --forecaster broken', 3, /broken.*forecaster\.json/],
  ['attach frames --device abacus', 2, /abacus/],
  ['forecast frames --forecaster nosuch', 3, /nosuch/],
  ['evaluate broken frames', 3, /broken.*forecaster\.json/],
  ['calibrate broken frames', 3, /broken.*forecaster\.json/],
  [
    'attach frames --forecaster dendrite --interval 0.85',
    2,
    /interval is 0\.85 \(there are intervals of 0\.1, /,
  ],
  [
    'attach frames --forecaster plane_wave --interval 0.9',
    3,
    /forecaster folder \S+plane_wave: ensemble\.json: not JSON/,
  ],
  ['forecast frames', 3, /no frames/],
  ['evaluate dendrite frames', 3, /no frames/],
  ['train frames --out broken', 2, /broken has a forecaster and no checkpoint to go on from/],
  ['train nowhere --out new', 3, /nowhere/],
  ['train --out new', 2, /folders of frames, or a simulation/],
  ['simulate dendrit --out new', 2, /there is no simulation "dendrit" \(did you mean "dendrite"/],
  ['simulate dendrite --out new --size 8', 2, /option height is 8: allowed is a whole number, at least 16/],
  ['simulate dendrite --out new --bits 32', 2, /a PNG holds 8 or 16 bits/],
  [
    'simulate spinodal --out unstable --frames 5 --noise 20',
    2,
    /spinodal became unstable: frame \d+ has values that are not finite/,
  ],
  ['status broken', 2, /is neither the output folder of a run nor its state folder/],
  ['ledger broken --outcome lots', 2, /outcome/],
  ['plugins nouns', 2, /no plugins of kind "nouns"/],
  ['demo --dir broken', 2, /not empty/],
];

test.each(mistakes)('`mesocast %s` ends with code %i and one line', async (line, code, says) => {
  const ran = await mesocast(line.split(' '), { cwd: folder });
  expect(ran.stderr).toMatch(says);
  expect(ran.stderr.trim().split('\n')).toHaveLength(1);
  expect(ran.stderr).toMatch(/^mesocast: /);
  expect(ran.stdout).toBe('');
  expect(ran.code).toBe(code);
});

test('--debug adds the stack trace, --json an object with the error', async () => {
  const line = ['attach', 'frames', '--config', 'no.yaml', '--debug', '--json'];
  const { code, stdout, stderr } = await mesocast(line, { cwd: folder });
  expect(code).toBe(2);
  expect(stderr).toMatch(/\n\s+at /);
  expect(JSON.parse(stdout)).toEqual({
    error: { tag: 'usage', message: 'config file no.yaml: there is no such file' },
  });
});

test('an option of a codec or sink of one’s own is set by its short name, or the one it was given by', async () => {
  const { codecs, sinks } = await attachConfig({
    directory: ['frames'],
    codec: ['./mine/my-codec.mjs'],
    sink: ['./my-sink.mjs'],
    set: ['my-codec.width=3', './mine/my-codec.mjs.column=v', 'vti.field=phi', 'my-sink.format=npy'],
  });
  expect(codecs).toEqual({ './mine/my-codec.mjs': { width: 3, column: 'v' }, vti: { field: 'phi' } });
  expect(sinks).toEqual([expect.objectContaining({ options: { format: 'npy' } })]);
});

test.each(commands)('`mesocast %s --help` shows two examples or more', async (command) => {
  const { code, stdout } = await mesocast([command, '--help']);
  expect(code).toBe(0);
  expect(stdout.split('Examples:')[1]?.match(/^ +mesocast /gm)?.length).toBeGreaterThanOrEqual(2);
});

test.each([
  ['forecast', /--forecaster [^-]*default: dendrite/],
  ['evaluate', /--lagged [^-]*default: no/],
  ['calibrate', /--ensemble [^-]*default: one for each forecaster of the folder/],
])('`mesocast %s --help` speaks of its own defaults and options', async (command, own) => {
  const { stdout } = await mesocast([command, '--help']);
  const said = (stdout.split('Examples:')[0] ?? '').replaceAll(/\s+/g, ' ');
  expect(said).toMatch(own);
  expect(said).not.toMatch(/damped trend|to be tried|with a forecaster:/);
  const declared = [...stdout.matchAll(/^ +(?:-\w, )?--([a-z-]+)/gm)].map(([, name]) => name);
  const named = [...said.matchAll(/--([a-z-]+)/g)].map(([, name]) => name);
  expect(named.filter((name) => !declared.includes(name))).toEqual([]);
});

/** The row of a table in docs/cli.md that begins with this. */
const rowOf = async (first: string): Promise<string> =>
  (await readFile('docs/cli.md', 'utf8'))
    .split('\n## What --json prints\n')[1]
    ?.split(`\n| \`${first}\` |`)[1]
    ?.split('\n')[0] ?? '';

test.each([
  'simulate spinodal --frames 1 --size 16 --out json-frames',
  'export dendrite --size 16 --leads 2 --out json-export',
  'plugins sinks',
  'plugins new sink json-sink',
])('docs/cli.md has the keys that `mesocast %s --json` prints', async (line) => {
  const { code, stdout } = await mesocast([...line.split(' '), '--json'], { cwd: folder });
  expect(code).toBe(0);
  const row = await rowOf(line.split(' ')[0] ?? '');
  const keys = Object.keys(JSON.parse(stdout) as object);
  expect(keys.filter((key) => !row.includes(`\`${key}\``))).toEqual([]);
});

test('docs/cli.md has the tag of every error, with the code that it ends with', async () => {
  for (const kind of Object.values(errors)) {
    if (!(kind.prototype instanceof errors.MesocastError)) continue;
    const error = new (kind as typeof errors.UsageError)('');
    expect(`${error.tag}: ${await rowOf(error.tag)}`).toMatch(
      `${error.tag}:  ${errors.exitCodeOf(error)} | `,
    );
  }
});

test('docs/cli.md has every command and every key of the config file', async () => {
  const page = await readFile('docs/cli.md', 'utf8');
  const { stdout } = await mesocast(['--help']);
  const listed = [...stdout.matchAll(/^ {2}mesocast (\w+)/gm)].map(([, name]) => name);
  expect(listed).toEqual(commands);
  expect(
    [...page.matchAll(/^## (\w+)$/gm)]
      .map(([, name]) => name)
      .filter((name) => name !== undefined && commands.includes(name)),
  ).toEqual(commands.filter((name) => name !== 'doctor' && name !== 'demo'));
  for (const name of commands) expect(page).toMatch(new RegExp(`^\\| \`${name}[ \`]`, 'm'));
  const [, ...sections] = (page.split('### Config file')[1]?.split('\n### ')[0] ?? '').split(/^#### /m);
  const groups = sections.map((section) => ({
    group: section.split('\n')[0],
    keys: [...section.matchAll(/^\| `(\w+)` \|/gm)].map(([, key]) => key),
  }));
  expect(groups.flatMap(({ keys }) => keys)).toEqual(optionsOf(attachSchema).map(({ name }) => name));
  expect(groups).toEqual([
    ...Object.entries(attachGroups).map(([group, shape]) => ({ group, keys: Object.keys(shape) })),
    { group: 'Sinks', keys: ['sinks'] },
  ]);
});
