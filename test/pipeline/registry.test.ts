import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { z } from 'zod';
import { PluginError } from '../../src/pipeline/errors.js';
import { defineCodec } from '../../src/pipeline/plugins/plugin.js';
import {
  builtInNames,
  codecForExtension,
  createCodecs,
  createPlugin,
  listPlugins,
  loadPlugin,
  validOptions,
} from '../../src/pipeline/plugins/registry.js';

let folder: string;
const plugin = (api: number, kind: string, name: string): string =>
  `{ api: ${api}, kind: '${kind}', name: '${name}', summary: '', options: { safeParse: () => ({}) }, create: () => ({}) }`;
const write = async (name: string, text: string): Promise<string> => {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
};
/** The message and hint of what a promise rejects with. */
const refusal = async (promise: Promise<unknown>): Promise<string> => {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof PluginError)) throw new Error(`no PluginError but ${String(error)}`);
  return `${error.message} | ${error.hint ?? ''}`;
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mesocast-registry-'));
});
afterAll(() => rm(folder, { recursive: true }));

test('every built-in plugin loads, is of its kind and has the name it is registered under', async () => {
  const all = await listPlugins();
  expect(all.map(({ kind, name }) => `${kind} ${name}`)).toEqual(
    (['source', 'codec', 'encoder', 'predictor', 'decoder', 'sink', 'simulation'] as const).flatMap((kind) =>
      builtInNames(kind).map((name) => `${kind} ${name}`),
    ),
  );
  for (const { name, summary, options } of all) {
    expect(name).toMatch(/^[a-z][a-z0-9_]*$/);
    expect(summary).not.toBe('');
    for (const option of options) expect(`${name}.${option.name}: ${option.description}`).toMatch(/: ./);
  }
});

test('a plugin is found by file path and file URL, whatever its export is called', async () => {
  const path = await write(
    'mine.mjs',
    `export const helper = 1; export const x = ${plugin(1, 'sink', 'mine')};`,
  );
  expect((await loadPlugin('sink', path)).name).toBe('mine');
  expect((await loadPlugin('sink', pathToFileURL(path).href)).name).toBe('mine');
});

test('what cannot be a plugin is refused with what was looked for and what there is', async () => {
  expect(await refusal(loadPlugin('sink', 'jsonll'))).toMatch(/no sink "jsonll" \| did you mean "jsonl"\?/);
  expect(await refusal(loadPlugin('sink', join(folder, 'no.mjs')))).toContain(
    `there is no file ${join(folder, 'no.mjs')}`,
  );
  expect(await refusal(loadPlugin('sink', await write('none.mjs', 'export const x = 1;')))).toContain(
    'exports no plugin',
  );
  const wrongKind = await write('kind.mjs', `export const c = ${plugin(1, 'codec', 'c')};`);
  expect(await refusal(loadPlugin('sink', wrongKind))).toContain('exports codec "c", not a sink');
  const noSchema = await write(
    'options.mjs',
    `export const s = ${plugin(1, 'sink', 's').replace('safeParse', 'url')};`,
  );
  expect(await refusal(loadPlugin('sink', noSchema))).toContain('its options are not a zod schema');
  const future = await write('future.mjs', `export const s = ${plugin(99, 'sink', 's')};`);
  expect(await refusal(loadPlugin('sink', future))).toMatch(
    /plugin API 99, this mesocast has 1 \| update mesocast/,
  );
  const two = await write(
    'two.mjs',
    `export const a = ${plugin(1, 'sink', 'a')}, b = ${plugin(1, 'sink', 'b')};`,
  );
  expect(await refusal(loadPlugin('sink', two))).toContain('several sinks: a, b');
  const broken = await write('broken.mjs', 'import "./not-there.mjs";');
  expect(await refusal(loadPlugin('sink', broken))).toContain('cannot be loaded');
});

test('options are checked: unknown, wrong and missing ones are named with what is allowed', async () => {
  const test = defineCodec({
    name: 'test',
    summary: 'for this test',
    // Not strict: an unknown key must be refused all the same.
    options: z.object({
      level: z.number().int().min(0).max(9).default(6),
      mode: z.enum(['fast', 'small']).optional(),
      url: z.string(),
    }),
    create: () => {
      throw new Error('not made here');
    },
  });
  expect(validOptions(test, { url: 'x' })).toEqual({ level: 6, url: 'x' });
  const wrong = Promise.resolve().then(() => validOptions(test, { level: 11, mode: 'slow', levle: 3 }));
  const message = await refusal(wrong);
  expect(message).toContain('option level is 11: allowed is a whole number, at least 0 and at most 9');
  expect(message).toContain('option mode is "slow": allowed is fast | small');
  expect(message).toContain('option url is missing');
  expect(message).toContain('option levle is not known: did you mean "level"?');
  expect(await refusal(createPlugin('simulation', 'dendrite', { size: 3 }, undefined))).toContain(
    'option size is not known',
  );
});

test('codecs are found by file name ending, in any case', async () => {
  const extensions = (await createCodecs()).flatMap((codec) => codec.extensions);
  expect(extensions).toEqual(expect.arrayContaining(['.png', '.tif', '.tiff', '.npy', '.vti', '.h5']));
  expect(new Set(extensions).size).toBe(extensions.length);
  for (const extension of extensions)
    expect((await codecForExtension(extension.toUpperCase())).extensions).toContain(extension);
  expect(await refusal(codecForExtension('.bmp'))).toContain('.png');
});
