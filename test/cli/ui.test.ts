import { expect, jest, test } from '@jest/globals';
import { createUi } from '../../src/cli/ui.js';

test('a notice is one line, whatever the name of a file holds', () => {
  const written: string[] = [];
  const write = jest.spyOn(process.stderr, 'write').mockImplementation((text) => {
    written.push(String(text));
    return true;
  });
  createUi(true).warn('new\nline\u001b[2J_12.png is rejected: \u00b5 it is whole \u007f');
  write.mockRestore();
  expect(written).toEqual(['new\\nline\\u001b[2J_12.png is rejected: \u00b5 it is whole \\u007f\n']);
});
