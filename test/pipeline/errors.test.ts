import { expect, test } from '@jest/globals';
import { exitCodeOf, hintOf, isSystems, StartupError } from '../../src/pipeline/errors.js';

test('errors of another copy of mesocast count as ours: a plugin that is a package has its own', () => {
  const foreign = Object.assign(new Error('no room'), {
    tag: 'startup',
    retryable: false,
    hint: 'make some',
  });
  expect([foreign, new StartupError('no room')].map(exitCodeOf)).toEqual([3, 3]);
  expect(hintOf(foreign)).toBe('make some');
  expect([new Error('x'), undefined, { tag: 'startup' }].map(exitCodeOf)).toEqual([1, 1, 1]);
});

test('what the system says is told from what Node finds in bytes', () => {
  const withCode = (code: string): Error => Object.assign(new Error(code), { code });
  for (const code of ['EIO', 'ENOENT', 'E2BIG', 'UNKNOWN', 'Unknown system error -116'])
    expect(isSystems(withCode(code))).toBe(true);
  expect(['ERR_OUT_OF_RANGE', 'Z_DATA_ERROR'].map((code) => isSystems(withCode(code)))).toEqual([
    false,
    false,
  ]);
  expect(isSystems(new StartupError('EIO'))).toBe(false);
});
