import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { UsageError } from '../pipeline/errors.js';
import { builtInNames } from '../pipeline/plugins/registry.js';
import { packageRoot, version } from './version.js';

/** Kinds that there is a package to begin with for: examples/plugin-KIND. */
export const SCAFFOLDED = ['sink', 'codec', 'predictor'] as const;
const isScaffolded = (kind: string): kind is (typeof SCAFFOLDED)[number] =>
  SCAFFOLDED.some((known) => known === kind);

const FILES = ['package.json', 'tsconfig.json', 'src/index.ts', 'test/index.test.ts'];

/**
 * Writes a package with a plugin that works, with its tests, into a new folder of this name.
 * @throws UsageError for a kind that there is none for, a name that is no package name, or a folder that is not empty
 */
export const scaffold = async (kind: string, name: string): Promise<{ folder: string; files: string[] }> => {
  if (!isScaffolded(kind))
    throw new UsageError(`there is no package to begin a "${kind}" with`, {
      hint: `kinds: ${SCAFFOLDED.join(', ')}; docs/plugins.md has the others`,
    });
  if (!/^[a-z][a-z0-9-]*$/.test(name))
    throw new UsageError(`"${name}" is no name for a package`, {
      hint: 'small letters, digits and -, as in my-sink',
    });
  if (builtInNames(kind).includes(name.replaceAll('-', '_')))
    throw new UsageError(`${name} is a ${kind} of mesocast's own: yours would never be found`, {
      hint: 'give another name',
    });
  const folder = resolve(name);
  if (existsSync(folder) && (await readdir(folder)).length > 0)
    throw new UsageError(`${folder} is there already and not empty`, { hint: 'give another name' });
  const [lead = '', ...rest] = name.split('-');
  const camel = lead + rest.map((part) => part.slice(0, 1).toUpperCase() + part.slice(1)).join('');
  const [dashed, capital] = [`my-${kind}`, kind.slice(0, 1).toUpperCase() + kind.slice(1)];
  for (const file of FILES) {
    const text = await readFile(join(packageRoot(), `examples/plugin-${kind}`, file), 'utf8');
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(
      join(folder, file),
      text
        .replaceAll(dashed, name)
        .replaceAll(`my_${kind}`, name.replaceAll('-', '_'))
        .replaceAll(`my${capital}`, camel)
        .replaceAll('"mesocast": "^0.1.0"', `"mesocast": "^${version()}"`),
    );
  }
  return { folder, files: FILES };
};
