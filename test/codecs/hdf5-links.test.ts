import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { File, ready } from 'h5wasm/node';
import { withFileBytes } from '../../src/pipeline/bytes.js';
import type { Field } from '../../src/pipeline/frame.js';
import { createPlugin } from '../../src/pipeline/plugins/registry.js';

let folder: string;
const at = (name: string): string => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mesocast-links-'));
  await ready;
});
afterAll(() => rm(folder, { recursive: true }));

const decode = async (name: string, options: Record<string, unknown> = {}, item = 0): Promise<Field> => {
  const codec = await createPlugin('codec', 'hdf5', options, undefined);
  return withFileBytes(at(name), (bytes) => codec.stack!.decode(bytes, item));
};
const written = (name: string, fill: (file: File) => void): void => {
  const file = new File(at(name), 'w');
  fill(file);
  file.flush();
  file.close();
};
const ones = { data: Float32Array.of(1, 1, 1, 1, 1, 1), shape: [2, 3] };

test('a link into another file is not followed, also where that file is there; one inside is', async () => {
  written('data.h5', (file) => file.create_dataset({ name: 'phi', ...ones }));
  written('master.h5', (file) => {
    file.create_external_link('data.h5', 'phi', 'away');
    file.create_soft_link('/away', 'further');
    file.create_group('run');
    (file.get('run') as typeof file).create_dataset({ name: 'own', ...ones });
    file.create_soft_link('run', 'latest');
    file.create_soft_link('/circle', 'circle');
  });
  for (const field of ['away', 'further'])
    await expect(decode('master.h5', { field })).rejects.toThrow('is a link into another file');
  await expect(decode('master.h5', { field: 'circle' })).rejects.toThrow('a link to a link');
  for (const field of ['run/own', 'latest/own', '/latest/own'])
    expect((await decode('master.h5', { field })).shape).toEqual([2, 3, 1]);
  await expect(decode('master.h5', { field: 'nothing' })).rejects.toThrow(/run\/own/);
});

test('times that are not one for each frame are of something else', async () => {
  written('history.h5', (file) => {
    file.create_dataset({ name: 'phi', ...ones });
    file.create_dataset({ name: 'time', data: Float64Array.of(1, 2, 3), shape: [3] });
  });
  expect((await decode('history.h5', { field: 'phi' })).time).toBeUndefined();
  written('stack.h5', (file) => {
    file.create_dataset({ name: 'phi', data: new Float32Array(24), shape: [4, 2, 3] });
    file.create_dataset({ name: 'time', data: 5.5 });
  });
  expect((await decode('stack.h5', { field: 'phi' }, 1)).time).toBeUndefined();
  written('one.h5', (file) => {
    file.create_dataset({ name: 'phi', ...ones });
    file.create_dataset({ name: 'time', data: 5.5 });
  });
  expect((await decode('one.h5', { field: 'phi' })).time).toEqual({ value: 5.5 });
});
