import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { bytesOf } from '../pipeline/bytes.js';
import type { Field, FrameShape, SampleType } from '../pipeline/frame.js';
import { sizeOf } from '../pipeline/frame.js';
import type { Codec } from '../pipeline/plugins/plugin.js';
import { uniformNumbers } from '../pipeline/random.js';
import type { ConformanceCase } from './conformance.js';

/** What a codec says that it can write, what it has to read, or both. */
export interface CodecAbilities {
  /** What it writes, each with each; nothing where a format is only read: `encode` has to reject with a CodecError then. */
  readonly sampleTypes?: readonly SampleType[];
  readonly channels?: readonly number[];
  /**
   * Whole files of one frame that another program wrote, without which a codec that only reads is not tested. Small ones:
   * they are cut at every byte.
   */
  readonly whole?: readonly Buffer[];
}

const LIMITS: Readonly<Record<SampleType, readonly [number, number]>> = {
  uint8: [0, 255],
  uint16: [0, 65535],
  float32: [-1e30, 1e30],
};
/** Files with random damage that the validator has to survive. */
const DAMAGED = 300;

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

/** Known by its tag: a plugin may have another copy of mesocast than whoever tests it. */
const isCodecError = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && Reflect.get(error, 'tag') === 'codec';

/**
 * What every codec owes to the pipeline, whoever wrote it.
 * @throws TypeError where nothing is said that it writes or reads
 */
export const codecConformance = (
  codec: Codec,
  { sampleTypes = [], channels = [], whole = [] }: CodecAbilities,
): ConformanceCase[] => {
  const kinds = sampleTypes.flatMap((sampleType) =>
    channels.map((count) => ({ sampleType, shape: [6, 5, count] as const })),
  );
  const [first] = kinds;
  const integers = sampleTypes.filter((type) => type !== 'float32');
  if (first === undefined && whole.length === 0)
    throw new TypeError('name a sample type and channels that it writes, or give whole files that it reads');
  const written = async (): Promise<Buffer[]> =>
    first === undefined ? [] : [await codec.encode(sampleField(first.sampleType, first.shape))];
  const files = async (): Promise<Buffer[]> => [...(await written()), ...whole];
  const refuses = async (bytes: Buffer, what: string): Promise<void> => {
    const verdict = await codec.validate(bytesOf(bytes));
    assert.ok(typeof verdict === 'string' && verdict !== '', `${what}: the validator finds it whole`);
    await assert.rejects(codec.decode(bytes), isCodecError, `${what}: decode has to throw a CodecError`);
  };
  /** A text may do without its last line feed. */
  const saysTheSame = async (part: Buffer, all: Buffer): Promise<boolean> => {
    if ((await codec.validate(bytesOf(part))) !== undefined) return false;
    const read = await codec.decode(part).catch(() => undefined);
    return isDeepStrictEqual(read, await codec.decode(all));
  };

  return [
    {
      name: 'its extensions are lower-case and begin with a dot, or are a slash and a whole name',
      run: async () => {
        assert.ok(codec.extensions.length > 0);
        for (const extension of codec.extensions) assert.match(extension, /^(\.[a-z0-9.]+|\/[a-z0-9._-]+)$/);
      },
    },
    ...kinds.map(({ sampleType, shape }) => ({
      name: `what it writes it reads again, to the bit: ${sampleType} ${shape.join('x')}`,
      run: async () => {
        const field = sampleField(sampleType, shape);
        const bytes = await codec.encode(field);
        assert.deepEqual(
          [...field.data],
          [...sampleField(sampleType, shape).data],
          'encode changed its input',
        );
        assert.equal(await codec.validate(bytesOf(bytes)), undefined);
        const kept = Buffer.from(bytes);
        const read = await codec.decode(bytes);
        assert.deepEqual([...read.shape, read.sampleType], [...shape, sampleType]);
        assert.deepEqual([...read.data], [...field.data]);
        assert.ok(bytes.equals(kept), 'decode changed its input');
      },
    })),
    ...whole.map((bytes, k) => ({
      name: `whole file ${k} is found whole, and read`,
      run: async () => {
        assert.equal(await codec.validate(bytesOf(bytes)), undefined);
        const kept = Buffer.from(bytes);
        const { shape, data } = await codec.decode(bytes);
        assert.ok(data.length > 0);
        assert.equal(data.length, sizeOf(shape));
        assert.ok(bytes.equals(kept), 'decode changed its input');
      },
    })),
    ...integers.map((sampleType) => ({
      name: `integers are rounded to nearest and clamped: ${sampleType}`,
      run: async () => {
        const high = LIMITS[sampleType][1];
        const data = Float32Array.from([-3, high + 3, 1.4, 1.6]);
        const count = channels[0] ?? 1;
        const every = Float32Array.from({ length: 4 * count }, (_, at) => data[Math.floor(at / count)]!);
        const field = { shape: [2, 2, count] as const, data: every, sampleType };
        const { data: read } = await codec.decode(await codec.encode(field));
        const values = [0, high, 1, 2];
        assert.deepEqual(
          [...read],
          [...every].map((_, at) => values[Math.floor(at / count)]),
        );
      },
    })),
    {
      name: 'a file cut short anywhere is neither whole nor decoded',
      run: async () => {
        for (const bytes of await files())
          for (let length = 0; length < bytes.length; length++) {
            const part = Buffer.from(bytes.subarray(0, length));
            if (whole.includes(bytes) && (await saysTheSame(part, bytes))) continue;
            await refuses(part, `cut to ${length} of ${bytes.length} bytes`);
          }
      },
    },
    {
      name: 'bytes of something else are refused in words',
      run: async () => {
        await refuses(Buffer.alloc(0), 'an empty file');
        await refuses(Buffer.from('this is a text file\n'.repeat(9)), 'a text file');
        await refuses(Buffer.alloc(500), 'zeros');
      },
    },
    {
      name: 'the validator survives damage anywhere',
      run: async () => {
        const random = uniformNumbers(1);
        for (const bytes of await files())
          for (let n = 0; n < DAMAGED; n++) {
            const damaged = Buffer.from(bytes);
            for (let k = 0; k <= n % 8; k++)
              damaged[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
            const verdict = await codec.validate(bytesOf(damaged));
            assert.ok(verdict === undefined || verdict.length > 0);
          }
      },
    },
    {
      name: 'what it cannot write it refuses',
      run: async () => {
        const types: readonly SampleType[] = ['uint8', 'uint16', 'float32'];
        for (const sampleType of types.filter((type) => !sampleTypes.includes(type)))
          await assert.rejects(codec.encode(sampleField(sampleType, [2, 2, 1])), isCodecError);
        if (first === undefined) return;
        const short = { shape: first.shape, data: new Float32Array(3), sampleType: first.sampleType };
        await assert.rejects(codec.encode(short), isCodecError);
      },
    },
    {
      name: 'an aborted decode rejects',
      run: async () => {
        for (const bytes of await files()) await assert.rejects(codec.decode(bytes, AbortSignal.abort()));
      },
    },
  ];
};
