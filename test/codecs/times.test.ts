import { expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { withFileBytes } from '../../src/pipeline/bytes.js';
import type { Field } from '../../src/pipeline/frame.js';
import { createPlugin } from '../../src/pipeline/plugins/registry.js';

interface Golden {
  readonly times: readonly (number | null)[];
  readonly unit?: string;
  readonly options?: Record<string, unknown>;
}
const folder = new URL('../../../test/codecs/golden/times/', import.meta.url);
const goldens = Object.entries(
  JSON.parse(readFileSync(new URL('golden.json', folder), 'utf8')) as Record<string, Golden>,
);
const CODECS: Readonly<Record<string, string>> = { tif: 'tiff', h5: 'hdf5' };

test.each(goldens)('the times in %s, to the last digit', async (name, { times, unit, options = {} }) => {
  const file = name.split(' ')[0] ?? '';
  const ending = file.slice(file.lastIndexOf('.') + 1);
  const codec = await createPlugin('codec', CODECS[ending] ?? ending, options, undefined);
  const path = fileURLToPath(new URL(file, folder));
  const frames: Field[] = [];
  for (const item of times.keys())
    frames.push(
      times.length === 1
        ? await codec.decode(readFileSync(path))
        : await withFileBytes(path, (bytes) => codec.stack?.decode(bytes, item) as Promise<Field>),
    );
  expect(frames.map(({ time }) => time ?? null)).toEqual(
    times.map((value) => (value === null ? null : { value, ...(unit !== undefined && { unit }) })),
  );
});

test('a list of times that is not in the file is an error that names it', async () => {
  const codec = await createPlugin('codec', 'hdf5', { times: 'run/moments' }, undefined);
  const path = fileURLToPath(new URL('beside.h5', folder));
  await expect(
    withFileBytes(path, (bytes) => codec.stack?.decode(bytes, 0) as Promise<Field>),
  ).rejects.toThrow('it holds no list of times "run/moments"');
});
