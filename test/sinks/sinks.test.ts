import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../../src/pipeline/errors.js';
import { createPlugin } from '../../src/pipeline/plugins/registry.js';
import { describeSink } from '../support/sink-conformance.js';

const linesOf = async (path: string): Promise<string[]> => {
  try {
    return (await readFile(path, 'utf8')).split('\n').filter(Boolean);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
};

/** A file where the output folder should be. */
const breaks = (out: string): Promise<void> => writeFile(out, 'in the way');

describeSink('jsonl', {
  breaks,
  create: (context) => createPlugin('sink', 'jsonl', {}, context),
  delivered: async (out) =>
    (await linesOf(join(out, 'forecasts.jsonl'))).map((line) => {
      const { series, index } = JSON.parse(line) as { series: string; index: number };
      return `${series}/${index}`;
    }),
});

for (const format of ['png', 'npy', 'vti', 'zarr'])
  describeSink(`files (${format})`, {
    breaks,
    create: (context) => createPlugin('sink', 'files', { format, animation: true }, context),
    delivered: async (out) => {
      const names = await readdir(join(out, 'forecasts', 'run1')).catch(() => []);
      const ending = { png: '', npy: '.npy', vti: '.pvd', zarr: '.zarr' }[format];
      const pattern = new RegExp(`^\\d{8}${ending}$`);
      return names.flatMap((name) => (pattern.test(name) ? [`run1/${parseInt(name, 10)}`] : []));
    },
  });

// A user's own sink, by the path of its file.
describeSink('examples/my-sink.mjs', {
  breaks,
  create: (context) => createPlugin('sink', './examples/my-sink.mjs', {}, context),
  delivered: async (out) =>
    (await linesOf(join(out, 'growth.csv')))
      .filter((line) => !line.startsWith('series'))
      .map((line) => line.split(',').slice(0, 2).join('/')),
});
