import { existsSync } from 'node:fs';
import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { daemon, forecastLines, scoreLines } from '../../test/support/runs.js';
import { framePath } from '../../test/support/tiny.js';
import { accountFrames, accountMessages, expectedKeys } from './accounts.js';
import type { Fault } from './fault.js';
import { findings, patiently, unless } from './fault.js';
import type { Truth } from './frames.js';
import { putSeries } from './frames.js';

const [CONTEXT, HORIZON] = [4, 5];

/** libfaketime of Debian's package of that name, where it is installed. */
const libfaketime = async (): Promise<string | undefined> => {
  const folders = (await readdir('/usr/lib').catch(() => [])).map((name) => `/usr/lib/${name}/faketime`);
  return folders.map((folder) => join(folder, 'libfaketimeMT.so.1')).find((path) => existsSync(path));
};

/** The time of day is set back by two hours while files wait, and later forward by four. */
export const clock: Fault = {
  name: 'clock',
  run: async ({ folder, forecaster }) => {
    const library = await libfaketime();
    if (library === undefined)
      return { skipped: 'libfaketime is not installed (Debian: apt install libfaketime)' };
    const [directory, out, time] = [join(folder, 'frames'), join(folder, 'out'), join(folder, 'time')];
    const truth: Truth = new Map();
    await mkdir(directory);
    await writeFile(time, '+0');
    const line = [directory, '--out', out, '--forecaster', forecaster, '--sink', 'jsonl', '--device', 'cpu'];
    const settings = [
      '--context',
      `${CONTEXT}`,
      '--horizon',
      `${HORIZON}`,
      '--threads',
      '1',
      '--frames',
      '60',
    ];
    const run = daemon([...line, ...settings, '--poll-interval', '0.2'], {
      env: {
        ...process.env,
        LD_PRELOAD: library,
        FAKETIME_TIMESTAMP_FILE: time,
        FAKETIME_NO_CACHE: '1',
        // What the kernel does: monotonic clocks go on, and files that are there keep their times.
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
        NO_FAKE_STAT: '1',
      },
    });
    const forecasts = (count: number): Promise<void> =>
      patiently(`${count} forecasts`, async () => !run.running || (await forecastLines(out)).length >= count);
    let next = 0;
    const put = async (count: number, hours: number): Promise<void> => {
      await putSeries(directory, '', next, next + count, truth);
      const at = Date.now() / 1000 + hours * 3600;
      for (let index = next; index < next + count; index++)
        await utimes(framePath(directory, index, '.npy'), at, at);
      next += count;
    };
    await put(20, 0);
    await forecasts(17);
    await put(10, 0);
    await writeFile(time, '-2h');
    await put(10, -2);
    await forecasts(37);
    const lines = await forecastLines(out);
    const setBack = lines.some(({ issuedAt }, at) => at > 0 && issuedAt < (lines[at - 1]?.issuedAt ?? ''));
    await put(10, -2);
    await writeFile(time, '+2h');
    await put(10, 2);
    const { code, stderr } = await run.exited;
    const { examples, ...frames } = await accountFrames(join(out, 'state'), truth);
    const got = [
      ...(await forecastLines(out)).map((line) => ({ key: line.id, body: { ...line } })),
      ...(await scoreLines(out)).map((line) => ({ key: `${line.id}.score`, body: { ...line } })),
    ];
    const sink = accountMessages('jsonl', got, expectedKeys(truth, CONTEXT, HORIZON));
    return findings('the clock set back by two hours and then forward by four while files were written', {
      ...frames,
      ...{ missing: sink.missing, repeats: sink.repeats, unknown: sink.unknown },
      wrong: [
        ...unless(code === 0, `exit code ${code}: ${stderr}`),
        ...unless(setBack, 'the clock was not set back: libfaketime did nothing'),
        ...examples,
        ...sink.examples,
      ],
    });
  },
};
