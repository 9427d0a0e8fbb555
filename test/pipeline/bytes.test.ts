import { mkdtemp, open, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { withFileBytes } from '../../src/pipeline/bytes.js';
import { readFrame } from '../../src/pipeline/intake/read-frame.js';
import { requireKnown } from '../../src/pipeline/intake/gaps.js';
import { codecForExtension } from '../../src/pipeline/plugins/registry.js';

let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-bytes-'));
});
afterAll(() => rm(home, { recursive: true }));

test('whatever is read of a file, in whatever order, is what lies there; ahead of it no more than the file has', async () => {
  const path = join(home, 'file');
  const size = 1_500_000;
  const whole = Buffer.from(
    Uint32Array.from({ length: size / 4 }, (_, k) => (k * 2_654_435_761) >>> 0).buffer,
  );
  await writeFile(path, whole);
  const piece = fc.record({
    step: fc.oneof(fc.constant(0), fc.integer({ min: -600_000, max: 600_000 })),
    length: fc.oneof(fc.nat(16), fc.nat(10_000), fc.nat(800_000)),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { minLength: 1, maxLength: 30 }), (pieces) =>
      withFileBytes(path, async (bytes) => {
        expect(bytes.size).toBe(size);
        let at = 0;
        for (const { step, length } of pieces) {
          at = Math.max(0, Math.min(size + 9000, at + step)); // torn files point beyond their end
          const read = await bytes.read(at, length);
          expect(read.equals(whole.subarray(at, at + length))).toBe(true);
          at += length;
        }
      }),
    ),
    { seed: 5, numRuns: 60 },
  );
  await withFileBytes(path, async (bytes) => {
    await truncate(path, 5000);
    expect(await bytes.read(4990, 8)).toHaveLength(8);
    expect((await bytes.read(900_000, 8)).length).toBe(0);
  });
});

test('a file that is too large to be read as a whole is refused before it is read', async () => {
  const path = join(home, 'large.png');
  const file = await open(path, 'w');
  await file.truncate(2 ** 31);
  await file.close();
  const revision = { size: 2 ** 31, mtimeNs: '1' };
  const codec = await codecForExtension('.png');
  await expect(readFrame({ series: 's', index: 0, path, revision }, codec)).rejects.toThrow(
    'larger than 2 GiB',
  );
});

test('infinite values are found wherever they are, gaps are not mistaken for them', () => {
  const field = (...data: number[]) => ({
    shape: [1, data.length, 1] as const,
    data: Float32Array.from(data),
    sampleType: 'float32' as const,
  });
  for (const data of [[1, 2, 3], [0], [1, NaN, 3e38]])
    expect(() => requireKnown(field(...data))).not.toThrow();
  expect(() => requireKnown(field(1, NaN, -Infinity, Infinity))).toThrow(
    /2 of its 4 values are infinite.*column 2/,
  );
  expect(() => requireKnown(field(NaN, NaN))).toThrow(/none of its values is known/);
});
