import { expect, test } from '@jest/globals';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

test('the example of docs/engine.md finds its filter', async () => {
  const script = fileURLToPath(new URL('../../../examples/compile.mjs', import.meta.url));
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [script]);
  expect(stderr).toBe('');
  expect(stdout.trim().split('\n').slice(-3)).toEqual([
    expect.stringMatching(/^-?0\.0\d -?0\.0\d -?0\.0\d$/),
    expect.stringMatching(/^(1\.0\d|0\.9\d) -?0\.0\d -?0\.0\d$/),
    expect.stringMatching(/^-?0\.0\d -?0\.0\d -?0\.0\d$/),
  ]);
});
