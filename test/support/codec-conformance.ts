import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { bytesOf } from '../../src/pipeline/bytes.js';
import { CodecError } from '../../src/pipeline/errors.js';
import type { Field, FrameShape, SampleType } from '../../src/pipeline/frame.js';
import { sizeOf } from '../../src/pipeline/frame.js';
import type { Codec } from '../../src/pipeline/plugin.js';

/** What a codec says that it can write. */
export interface CodecAbilities {
  readonly sampleTypes: readonly SampleType[];
  readonly channels: readonly number[];
}

const LIMITS: Readonly<Record<SampleType, readonly [number, number]>> = {
  uint8: [0, 255],
  uint16: [0, 65535],
  float32: [-1e30, 1e30],
};

/** A field of values that reach from end to end of its sample type; no two channels are equal. */
export const sampleField = (sampleType: SampleType, shape: FrameShape): Field => {
  const [low, high] = LIMITS[sampleType];
  const values = Float32Array.from({ length: sizeOf(shape) }, (_, i) => {
    const t = (i * 0.61803398875 + 0.1) % 1;
    return sampleType === 'float32' ? (t - 0.5) * 10 ** ((i % 9) - 4) : Math.round(low + t * (high - low));
  });
  values.set([low, high]);
  return { shape, data: values, sampleType };
};

/** What every codec owes to the pipeline, whoever wrote it. */
export const codecConformance = (name: string, codec: Codec, abilities: CodecAbilities): void => {
  const kinds = abilities.sampleTypes.flatMap((sampleType) =>
    abilities.channels.map((channels) => ({ sampleType, shape: [6, 5, channels] as const })),
  );
  const [first] = kinds;
  if (first === undefined) throw new Error('a codec writes something');
  const small = (): Promise<Buffer> => codec.encode(sampleField(first.sampleType, first.shape));

  describe(`codec ${name} keeps the contract`, () => {
    test('its extensions are lower-case and begin with a dot', () => {
      expect(codec.extensions.length).toBeGreaterThan(0);
      for (const extension of codec.extensions) expect(extension).toMatch(/^\.[a-z0-9.]+$/);
    });

    test.each(kinds)('what it writes it reads again, to the bit: $sampleType $shape', async (kind) => {
      const field = sampleField(kind.sampleType, kind.shape);
      const before = Float32Array.from(field.data);
      const bytes = await codec.encode(field);
      expect(field.data).toEqual(before);
      expect(await codec.validate(bytesOf(bytes))).toBeUndefined();
      const kept = Buffer.from(bytes);
      expect(await codec.decode(bytes)).toEqual(field);
      expect(bytes.equals(kept)).toBe(true);
    });

    test('integers are rounded to nearest and clamped', async () => {
      for (const sampleType of abilities.sampleTypes.filter((type) => type !== 'float32')) {
        const high = LIMITS[sampleType][1];
        const data = Float32Array.from([-3, high + 3, 1.4, 1.6]);
        const { data: read } = await codec.decode(await codec.encode({ shape: [2, 2, 1], data, sampleType }));
        expect([...read]).toEqual([0, high, 1, 2]);
      }
    });

    test('a file cut short anywhere is neither whole nor decoded', async () => {
      const bytes = await small();
      for (let length = 0; length < bytes.length; length++) {
        const part = Buffer.from(bytes.subarray(0, length));
        expect({ length, verdict: await codec.validate(bytesOf(part)) }).toEqual({
          length,
          verdict: expect.any(String),
        });
        await expect(codec.decode(part)).rejects.toThrow(CodecError);
      }
    });

    test('bytes of something else are refused in words', async () => {
      for (const bytes of [
        Buffer.alloc(0),
        Buffer.from('this is a text file\n'.repeat(9)),
        Buffer.alloc(500),
      ]) {
        expect(await codec.validate(bytesOf(bytes))).toEqual(expect.any(String));
        await expect(codec.decode(bytes)).rejects.toThrow(CodecError);
      }
    });

    test('the validator survives damage anywhere', async () => {
      const bytes = await small();
      const damage = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), {
        minLength: 1,
        maxLength: 8,
      });
      await fc.assert(
        fc.asyncProperty(damage, async (changes) => {
          const damaged = Buffer.from(bytes);
          for (const [at, value] of changes) damaged[at] = value;
          const verdict = await codec.validate(bytesOf(damaged));
          expect(verdict === undefined || verdict.length > 0).toBe(true);
        }),
        { seed: 1, numRuns: 300 },
      );
    });

    test('what it cannot write it refuses', async () => {
      const types: readonly SampleType[] = ['uint8', 'uint16', 'float32'];
      for (const sampleType of types.filter((type) => !abilities.sampleTypes.includes(type)))
        await expect(codec.encode(sampleField(sampleType, [2, 2, 1]))).rejects.toThrow(CodecError);
      const short = { shape: [2, 2, 1], data: new Float32Array(3), sampleType: first.sampleType } as const;
      await expect(codec.encode(short)).rejects.toThrow(CodecError);
    });

    test('an aborted decode rejects', async () => {
      await expect(codec.decode(await small(), AbortSignal.abort())).rejects.toThrow();
    });
  });
};
