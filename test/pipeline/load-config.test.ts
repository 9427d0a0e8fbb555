import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { UsageError } from '../../src/pipeline/errors.js';
import { rootsOf } from '../../src/pipeline/config/roots.js';
import { loadConfig } from '../../src/pipeline/config/load-config.js';

let folder: string;
let file: string;
const write = (text: string): Promise<void> => writeFile(file, text);
const refusal = async (text: string, flags: Record<string, unknown> = {}): Promise<string> => {
  await write(text);
  const error: unknown = await loadConfig(flags, file).catch((reason: unknown) => reason);
  if (!(error instanceof UsageError)) throw new Error(`no UsageError but ${String(error)}`);
  return error.message;
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mesocast-config-'));
  file = join(folder, 'run.yaml');
});
afterAll(() => rm(folder, { recursive: true }));

test('flags win over the file, the file over defaults', async () => {
  await write('directory: frames\nhorizon: 20\nstride: 2\n');
  const config = await loadConfig({ horizon: 30, directory: 'elsewhere' }, file);
  expect(config).toMatchObject({ directory: 'elsewhere', horizon: 30, stride: 2, context: 10 });
  expect(config.sinks.map(({ name }) => name)).toEqual(['files', 'jsonl']);
});

test('paths in a file are relative to it, names are not paths', async () => {
  await write(
    'directory: frames\nout: ../out\nforecaster: dendrite\nsinks:\n  - jsonl\n  - { name: ./my.mjs, required: false }\n',
  );
  const config = await loadConfig({}, file);
  expect(config).toMatchObject({
    directory: join(folder, 'frames'),
    out: join(folder, '../out'),
    forecaster: 'dendrite',
  });
  expect(config.sinks).toMatchObject([
    { name: 'jsonl', options: {}, policy: 'block' },
    { name: join(folder, 'my.mjs'), options: {}, policy: 'drop_oldest', required: false },
  ]);
});

test('mistakes are named with file, line, key, what was given and what is allowed', async () => {
  expect(await refusal('directory: d\nhorizn: 5\n')).toBe(
    `${file}:2: horizn is not known: did you mean "horizon"?`,
  );
  expect(await refusal('directory: d\n\ncontext: 1\n')).toBe(
    `${file}:3: context is 1: allowed is a whole number, at least 2`,
  );
  expect(await refusal('directory: d\nsinks:\n  - jsonl\n  - { name: files, option: {} }\n')).toContain(
    `${file}:4: sinks[1].option is not known: did you mean "options"?`,
  );
  expect(await refusal('directory: d\npolicy: all\n')).toContain(
    'policy is "all": allowed is every | latest',
  );
  expect(await refusal('directory: d\nrange: [1, 0]\n')).toContain(
    'range is [1,0]: the second must be larger',
  );
  expect(await refusal('directory: d\nhorizon: 4\n', { horizon: 0, forecastEvery: 1.5 })).toBe(
    '--horizon is 0: allowed is a whole number, at least 1; --forecast-every is 1.5: allowed is a whole number, at least 1',
  );
  // Else they would be the folder of the file.
  expect(await refusal('directory: ""\nout: ""\n')).toBe(
    `${file}:1: directory is "": name a folder; ${file}:2: out is "": name a folder`,
  );
  expect(await refusal('horizon: 4\n')).toBe('the directory to attach to is missing');
});

test('several folders, with settings of their own; those on the command line are instead of them', async () => {
  await write(
    'roots:\n  - frames\n  - { directory: ../sem, as: sem, pattern: "s(?<index>\\\\d+).tif", atomic: true }\nignore: [old]\nstart: 12\n',
  );
  const config = await loadConfig({}, file);
  expect(config.start).toBe(12);
  expect(rootsOf(config)).toMatchObject([
    { directory: join(folder, 'frames'), ignore: ['old'], atomic: false, links: 'inside' },
    {
      directory: join(folder, '../sem'),
      as: 'sem',
      pattern: 's(?<index>\\d+).tif',
      ignore: ['old'],
      atomic: true,
    },
  ]);
  const other = await loadConfig({ directory: '/elsewhere', start: 'now' }, file);
  expect(rootsOf(other).map(({ directory }) => directory)).toEqual(['/elsewhere']);
  expect(other.start).toBe('now');
  expect(await refusal('roots: [a, { directory: b, patern: x }]\n')).toMatch(
    /run\.yaml:1: roots\[1\]\.patern is not known: did you mean "pattern"/,
  );
  expect(await refusal('directory: d\npattern: "f(\\\\d+)"\n')).toMatch(/:2: pattern is .*needs a group/);
  expect(await refusal('directory: d\nstart: later\n')).toMatch(
    /start is "later": beginning, now or a frame number/,
  );
});

test('codecs and sinks that are files are relative to the config file', async () => {
  await write(
    'directory: d\ncodecs: { ./odd.mjs: { width: 3 }, vti: { field: phi } }\nsinks: [./own.mjs, jsonl]\n',
  );
  const { codecs, sinks } = await loadConfig({}, file);
  expect(codecs).toEqual({ [join(folder, 'odd.mjs')]: { width: 3 }, vti: { field: 'phi' } });
  expect(sinks.map(({ name }) => name)).toEqual([join(folder, 'own.mjs'), 'jsonl']);
});

test('a file that is no config says so, with the line of a syntax error', async () => {
  expect(await refusal('directory: d\nsinks: [jsonl\nhorizon: 3\n')).toMatch(
    /run\.yaml:\d+: not valid YAML: ./,
  );
  expect(await refusal('- directory\n')).toContain('a config file is a mapping');
  await expect(loadConfig({}, join(folder, 'no.yaml'))).rejects.toThrow(/no\.yaml: there is no such file/);
  await write('');
  expect(await loadConfig({ directory: 'd' }, file)).toMatchObject({ directory: 'd', horizon: 50 });
});

test('a few lines whose aliases stand for a billion values are refused, and what is nested without end', async () => {
  const letters = 'abcdefghij'.split('');
  const bomb = letters.map((name, k) => {
    const before = letters[k - 1];
    const ninefold = Array.from({ length: 9 }, () => (before === undefined ? 'lol' : `*${before}`));
    return `${name}: &${name} [${ninefold.join(', ')}]\n`;
  });
  expect(await refusal(`directory: d\n${bomb.join('')}`)).toMatch(/run\.yaml: Excessive alias count/);
  expect(await refusal(`directory: d\nsinks: ${'['.repeat(100_000)}\n`)).toMatch(
    /run\.yaml.* not valid YAML/,
  );
});

test('a file says which version of the keys it means; another one is refused with its line', async () => {
  await write('version: 1\ndirectory: frames\n');
  expect((await loadConfig({}, file)).directory).toBe(join(folder, 'frames'));
  expect(await refusal('directory: frames\nversion: 2\n')).toMatch(
    /run\.yaml:2: version is 2, this mesocast reads version 1/,
  );
});
