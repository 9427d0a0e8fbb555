import { readFile, writeFile } from 'node:fs/promises';
import { format, resolveConfig } from 'prettier';
import { fromRoot } from './systems.js';

/** A Markdown table. */
export const markdown = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

/**
 * Puts text into a page of docs/, between the comments `<!-- NAME -->` and `<!-- end of NAME -->`.
 * @throws Error when they are not there
 */
export const putIntoPage = async (file: string, name: string, text: string): Promise<void> => {
  const path = fromRoot(`docs/${file}`);
  const page = await readFile(path, 'utf8');
  const [before, rest] = page.split(`<!-- ${name} -->`);
  const [, after] = (rest ?? '').split(`<!-- end of ${name} -->`);
  if (before === undefined || after === undefined) throw new Error(`docs/${file} has no place for ${name}`);
  await writeFile(path, `${before}<!-- ${name} -->\n\n${text}\n\n<!-- end of ${name} -->${after}`);
};

const DIGITS = 5;

/** Writes results that are committed, formatted as everything is, numbers with as many digits as mean something. */
export const writeRecord = async (file: string, record: unknown): Promise<void> => {
  const path = fromRoot(file);
  const text = JSON.stringify(record, (_, value: unknown) =>
    typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(DIGITS)) : value,
  );
  await writeFile(path, await format(text, { ...(await resolveConfig(path)), parser: 'json' }));
};
