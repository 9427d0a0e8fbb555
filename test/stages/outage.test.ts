import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { renameSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { directory } from '../../plugins/sources/directory.js';
import { createCredits } from '../../src/pipeline/intake/credits.js';
import { openCodecs, validator } from '../../src/pipeline/intake/input.js';
import type { SeriesTracker } from '../../src/pipeline/intake/series-tracker.js';
import { openLedger } from '../../src/pipeline/ledger/ledger.js';
import type { Entry } from '../../src/pipeline/frame.js';
import type { Incomplete } from '../../src/pipeline/plugins/plugin.js';
import { until } from '../support/runs.js';
import { read } from '../../src/stages/read.js';
import { watch } from '../../src/stages/watch.js';
import { recordingContext } from '../support/ingest.js';

const COUNT = 10;
let home: string;
let root: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-outage-'));
  root = join(home, 'run');
  await mkdir(root);
  for (let n = 0; n < COUNT; n++) await writeFile(join(root, `f_${n}.raw`), Buffer.alloc(6, n));
});
afterEach(() => rm(home, { recursive: true }));

interface More {
  readonly frames?: number;
  /** Called before a file is validated, with what people were told so far. */
  readonly validates?: (name: string, notices: readonly string[]) => Promise<void>;
}
/** Follows the folder until nothing comes any more; `reads` is called whenever a file is about to be read. */
const ingest = async (reads: (name: string) => void, { frames, validates }: More = {}) => {
  const codecs = await openCodecs(1, { raw: { height: 2, width: 3, type: 'uint8' } });
  const ledger = openLedger(home);
  const context = recordingContext(ledger, new AbortController().signal);
  const log = (message: string): void => {
    context.notice(message);
  };
  const source = directory.create(directory.options.parse({ directory: root }), { log, ...codecs });
  const trackers = new Map<string, SeriesTracker>();
  const validate = async (entry: Entry): Promise<Incomplete> => {
    await validates?.(entry.path.slice(root.length + 1), context.notices);
    return validator(codecs.for)(entry);
  };
  const came: number[] = [];
  await watch(
    { pollInterval: 0.1, patience: 1, ...(frames === undefined ? { untilIdle: 1 } : { frames }) },
    { ...context, ledger, trackers, roots: [{ source, validate, atomic: false, owns: () => true }] },
  )
    .pipe(
      read({
        ...context,
        ledger,
        credits: createCredits({ items: 4, bytes: 1e6 }),
        codecFor: (path) => {
          reads(path.slice(root.length + 1));
          return codecs.for(path);
        },
        giveBack: (entry, why, isGone) => trackers.get(entry.series)?.takeBack(entry, why, isGone) ?? false,
      }),
    )
    .forEach(({ frame, release }) => {
      came.push(frame.index);
      const { contentHash, position } = frame;
      ledger.finish(frame.source, 'observed', { contentHash, position });
      release();
    });
  await ledger.close();
  return { came, failures: context.failures, notices: context.notices };
};
const all = Array.from({ length: COUNT }, (_, n) => n);
const unreadable = (): Error => Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' });

test('what cannot be read for a while comes when it can, and everything in order', async () => {
  const failing = new Map([
    ['f_2.raw', 3],
    ['f_5.raw', 1],
  ]);
  const { came, failures, notices } = await ingest((name) => {
    const left = failing.get(name) ?? 0;
    failing.set(name, left - 1);
    if (left > 0) throw unreadable();
  });
  expect([came, failures]).toEqual([all, []]);
  expect(notices[0]).toBe(`${join(root, 'f_2.raw')} could not be read (EIO: i/o error): it is tried again`);
});

test('what comes back while others are looked at still goes first', async () => {
  let failures = 4; // so many tries has a file, before it is given back
  let isHeld = true;
  const { came, failures: lost } = await ingest(
    (name) => {
      if (name === 'f_7.raw' && failures-- > 0) throw unreadable();
    },
    {
      // The eight before it were handed on by then.
      validates: async (name, notices) => {
        if (name !== 'f_8.raw' || !isHeld) return;
        isHeld = false;
        await until('the return', () => notices.some((said) => said.includes('could not be read')));
      },
    },
  );
  expect([came, lost]).toEqual([all, []]);
});

test('in a run that takes no more frames, what cannot be read just now is left to the next', async () => {
  let isAway = true;
  const reads = (name: string): void => {
    if (name === 'f_2.raw' && isAway) throw unreadable();
  };
  const first = await ingest(reads, { frames: COUNT });
  expect([first.came, first.failures]).toEqual([[0, 1], []]);
  expect(first.notices).toEqual([
    `${join(root, 'f_2.raw')} could not be read (EIO: i/o error): the next run takes it up`,
  ]);
  isAway = false;
  const second = await ingest(reads);
  expect([second.came, second.failures]).toEqual([all.slice(2), []]);
});

test('a file that is away for a moment is not lost', async () => {
  const file = join(root, 'f_3.raw');
  let times = 0;
  const away = (name: string): void => {
    if (name !== 'f_3.raw' || times++ > 0) return;
    renameSync(file, join(home, 'away'));
    setTimeout(() => void rename(join(home, 'away'), file), 500);
  };
  const back = await ingest(away);
  expect([back.came, back.failures]).toEqual([all, []]);
});

test('what stays away is lost, what never can be read is rejected, when there is no patience left; the others come', async () => {
  let isGone = false;
  const { came, failures } = await ingest((name) => {
    if (name === 'f_7.raw') throw unreadable();
    if (name === 'f_3.raw' && !isGone) renameSync(join(root, name), join(home, 'away'));
    isGone ||= name === 'f_3.raw';
  });
  expect(came).toEqual(all.filter((n) => n !== 3 && n !== 7));
  expect(failures).toEqual([
    'run 3 lost: it went away before it was read',
    'run 7 rejected: it cannot be read: EIO: i/o error',
  ]);
});
