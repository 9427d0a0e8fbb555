import { expect, test } from '@jest/globals';
import { frameCache } from '../../src/training/frame-cache.js';

test('it holds as many bytes as it may, and those that were used last', async () => {
  const cache = frameCache(3 * 40);
  const loads: string[] = [];
  const ask = (key: string): Promise<Float32Array> =>
    cache.frame(key, async () => {
      loads.push(key);
      return new Float32Array(10).fill(Number(key));
    });
  for (const key of ['1', '2', '3', '1', '4']) expect((await ask(key))[0]).toBe(Number(key));
  expect(loads).toEqual(['1', '2', '3', '4']);
  for (const key of ['1', '3', '4']) await ask(key); // 2 had to go
  expect(loads).toHaveLength(4);
  await ask('2');
  expect(loads).toHaveLength(5);
});

test('a frame that several wait for is loaded once; one that failed is tried again', async () => {
  const cache = frameCache(0);
  let loads = 0;
  const load = async (): Promise<Float32Array> => {
    if (++loads === 2) throw new Error('the disk hiccups');
    return Float32Array.of(loads);
  };
  const [a, b] = await Promise.all([cache.frame('x', load), cache.frame('x', load)]);
  expect(a).toBe(b);
  expect(loads).toBe(1);
  await expect(cache.frame('x', load)).rejects.toThrow('hiccups');
  expect(await cache.frame('x', load)).toEqual(Float32Array.of(3));
});
