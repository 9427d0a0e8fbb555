import { link, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { daemon, forecastLines } from '../../test/support/runs.js';
import { framePath } from '../../test/support/tiny.js';
import { accountFrames } from './accounts.js';
import type { Fault } from './fault.js';
import { findings, patiently, unless } from './fault.js';
import type { Truth } from './frames.js';
import { frameOf, hashOf } from './frames.js';

const FOLDERS = ['a', 'b'];
const POOL = 200;

/** Files that appear by thousands while nobody can look: the process is stopped by a signal, then not there at all. */
export const burst: Fault = {
  name: 'burst',
  run: async ({ folder, forecaster, quick, note }) => {
    const each = (quick ? 2000 : 40_000) / FOLDERS.length;
    const [directory, out, pool] = ['frames', 'out', 'pool'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    await mkdir(pool);
    const hashes: string[] = [];
    for (let index = 0; index < POOL; index++) {
      const bytes = await frameOf(index);
      hashes.push(hashOf(bytes));
      await writeFile(framePath(pool, index, '.npy'), bytes);
    }
    const truth: Truth = new Map(FOLDERS.map((name) => [`frames/${name}`, new Map<number, string>()]));
    let written = 0;
    const put = async (count: number): Promise<void> => {
      for (const name of FOLDERS) {
        await mkdir(join(directory, name), { recursive: true });
        for (let index = written; index < written + count; index++) {
          await link(framePath(pool, index % POOL, '.npy'), framePath(join(directory, name), index, '.npy'));
          truth.get(`frames/${name}`)?.set(index, hashes[index % POOL] ?? '');
        }
      }
      written += count;
    };
    const config = join(folder, 'run.yaml');
    await writeFile(
      config,
      JSON.stringify({
        ...{
          directory,
          out,
          forecaster,
          context: 4,
          horizon: 5,
          device: 'cpu',
          threads: 1,
          sinks: ['jsonl'],
        },
        ...{ forecastEvery: 1000, untilIdle: 3 },
      }),
    );
    await put(8);
    const blocked = daemon(['--config', config]);
    await patiently('a forecast', async () => !blocked.running || (await forecastLines(out)).length > 0);
    blocked.kill('SIGSTOP');
    await put(each);
    blocked.kill('SIGCONT');
    const first = await blocked.exited;
    note(`  ${2 * each} files while it was blocked: exit code ${first.code}`);
    await put(each);
    const second = await daemon(['--config', config]).exited;
    const { examples, ...frames } = await accountFrames(join(out, 'state'), truth);
    return findings(`${2 * each} files made while it was blocked, and again while it was not running`, {
      ...frames,
      wrong: [
        ...unless(first.code === 0, `blocked: exit code ${first.code}: ${first.stderr}`),
        ...unless(second.code === 0, `stopped: exit code ${second.code}: ${second.stderr}`),
        ...examples,
      ],
    });
  },
};
