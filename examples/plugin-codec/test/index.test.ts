import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codecConformance } from 'mesocast/testing';
import { myCodec } from '../src/index.js';

const codec = myCodec.create(myCodec.options.parse({}), undefined);

// What every codec has to do: exact round trips, torn files refused, damage survived.
for (const { name, run } of codecConformance(codec, { sampleTypes: ['float32'], channels: [1] }))
  test(name, run);

// What this one does besides. Take bytes that another program wrote: a codec that tests only its own agrees with itself.
test('a file by another writer is read', async () => {
  const bytes = Buffer.from('4d594631' + '01000000' + '02000000' + '0000803f' + '000020c1', 'hex');
  const { shape, data } = await codec.decode(bytes);
  assert.deepEqual([...shape], [1, 2, 1]);
  assert.deepEqual([...data], [1, -10]);
});
