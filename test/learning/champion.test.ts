import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { concatMap, finalize, lastValueFrom, of, Subject, throwError, toArray, type Observable } from 'rxjs';
import { byChampion, type Upcoming } from '../../src/learning/champion/by-champion.js';
import { appendChange, learningFolder, readChanges } from '../../src/learning/champion/log.js';
import { openReigns } from '../../src/learning/champion/reigns.js';
import { requestRollback } from '../../src/learning/champion/rollback.js';
import { forgetOldVersions, isKept, versionsFolder } from '../../src/learning/champion/versions.js';
import { openEngine } from '../../src/engine/index.js';
import { createJudge, type Judge } from '../../src/learning/judging/judge.js';
import type { FromLearner, LearnerSetup } from '../../src/learning/learner/messages.js';
import type { LearnerProcess } from '../../src/learning/learner/process.js';
import { openLive } from '../../src/learning/live.js';
import { firstForecaster } from '../../src/learning/modes.js';
import { EngineError, FrameError, messageOf } from '../../src/pipeline/errors.js';
import { openLedger } from '../../src/pipeline/ledger/ledger.js';
import type { FrameRecord } from '../../src/pipeline/ledger/records.js';
import { mesocast } from '../support/cli.js';
import { difference, forecastLines, forecastValues, record, smallRun, until } from '../support/runs.js';
import { memoryVerified } from '../support/forecasts.js';
import { framePath, putFrames, saveTiny } from '../support/tiny.js';

let home: string;
const at = (name: string): string => join(home, name);
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-champion-'));
});
afterAll(() => rm(home, { recursive: true }));

/** Notes that outlive what uses them, of two series. */
const ledger = (unfinished: readonly number[] = []) => {
  const notes = new Map<string, unknown>();
  return {
    note: (key: string) => notes.get(key),
    putNote: (key: string, value: unknown) => void notes.set(key, structuredClone(value)),
    durable: () => Promise.resolve(),
    allSeries: () => ['a', 'b'].map((series) => ({ series, first: 0, increment: 1 })),
    unfinished: (series: string) =>
      unfinished.map((position): FrameRecord => ({
        series,
        index: position,
        position,
        path: '',
        revision: { size: 0, mtimeNs: '' },
      })),
  };
};

test('who forecasts a frame is decided once, also when the frame comes again after a crash', async () => {
  const notes = ledger();
  const reigns = openReigns(notes, 'one');
  expect([0, 1, 2].map((position) => reigns.of('a', position))).toEqual(['one', 'one', 'one']);
  expect(reigns.of('b', 7)).toBe('one');
  await reigns.begin('two');
  expect([reigns.of('a', 3), reigns.of('a', 4), reigns.of('b', 8)]).toEqual(['two', 'two', 'two']);
  await reigns.begin('three');
  expect(reigns.of('a', 5)).toBe('three');
  const again = openReigns(notes, 'one');
  expect(again.champion).toBe('three');
  expect([2, 3, 4, 5, 6].map((position) => again.of('a', position))).toEqual([
    'one',
    'two',
    'two',
    'three',
    'three',
  ]);
  expect([again.of('b', 8), again.of('b', 9)]).toEqual(['two', 'three']);
});

test('going back before another frame came leaves no frame to the one in between', async () => {
  const notes = ledger();
  const reigns = openReigns(notes, 'one');
  expect(reigns.of('a', 4)).toBe('one');
  await reigns.begin('two');
  await reigns.begin('one');
  expect([5, 6].map((position) => reigns.of('a', position))).toEqual(['one', 'one']);
  expect([4, 5, 6].map((position) => openReigns(notes, 'one').of('a', position))).toEqual([
    'one',
    'one',
    'one',
  ]);
});

test('frames that were under way at a crash stay with the forecaster that they had', async () => {
  const notes = ledger([3, 4]);
  openReigns(notes, 'one').of('a', 4);
  const again = openReigns(notes, 'one');
  await again.begin('two'); // before the two have come again
  expect([3, 4, 5].map((position) => again.of('a', position))).toEqual(['one', 'one', 'two']);

  const later = ledger([3, 4]);
  openReigns(later, 'one').of('a', 4);
  const third = openReigns(later, 'one');
  expect(third.of('a', 3)).toBe('one');
  await third.begin('two'); // when only the first of them has
  expect([4, 5].map((position) => third.of('a', position))).toEqual(['one', 'two']);
});

test('a change writes of the series that go on, however many there were', async () => {
  const notes = ledger();
  const reigns = openReigns(notes, 'one');
  for (let k = 0; k < 1000; k++) reigns.of(`${k}`, 0);
  reigns.of('0', 1); // the only one of the first that still goes on
  let written = 0;
  const { putNote } = notes;
  notes.putNote = (key, value) => {
    written++;
    putNote(key, value);
  };
  await reigns.begin('two');
  expect(written).toBe(1 + 256);
  // Of the others it is decided when they come again.
  expect([reigns.of('0', 2), reigns.of('1', 1), reigns.of('999', 1)]).toEqual(['two', 'two', 'two']);
  // What was decided stays so.
  expect([reigns.of('0', 1), reigns.of('999', 0)]).toEqual(['one', 'one']);
});

/** Batches by champions that are the first letter of their items, and what happens to the stages meanwhile. */
const champions = (
  work: (result: string[], champion: string) => Observable<string[]> = (result) => of(result),
) => {
  const log: string[] = [];
  const [batches, upcoming] = [new Subject<readonly string[]>(), new Subject<Upcoming<string>>()];
  const results = lastValueFrom(
    batches.pipe(
      byChampion<string, string, readonly string[], string>({
        championOf: ([item = '']) => Promise.resolve(item.slice(0, 1)),
        upcoming$: upcoming,
        front: (champion, isInUse) => (source$) => {
          log.push(`begin ${champion}`);
          const result = (item: string): string => `${champion}:${item}${isInUse() ? '' : ' rehearsed'}`;
          return source$.pipe(
            concatMap((items) => work(items.map(result), champion)),
            finalize(() => log.push(`end ${champion}`)),
          );
        },
        back: () => concatMap((items) => items),
        discard: (items) => log.push(`discard ${items.join()}`),
      }),
      toArray(),
    ),
  );
  const rehearse = (champion: string): void =>
    upcoming.next({
      champion,
      ready: (error) => log.push(`${champion} is ready${error === undefined ? '' : `, ${messageOf(error)}`}`),
    });
  /** Resolves when it is being worked on, as `batch` waits for the results of one before the next. */
  const next = async (...items: string[]): Promise<void> => {
    batches.next(items);
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { log, results, batches, rehearse, next };
};

test('stages are made anew for each champion, when the ones before have ended', async () => {
  const { log, results, batches, next } = champions();
  for (const items of [['a1', 'a2'], ['a3'], ['b1'], ['a4']]) await next(...items);
  batches.complete();
  expect(await results).toEqual(['a:a1', 'a:a2', 'a:a3', 'b:b1', 'a:a4']);
  expect(log).toEqual(['begin a', 'end a', 'begin b', 'end b', 'begin a', 'end a']);
});

test('a champion that is to take over rehearses on the last batch, of which nothing comes out', async () => {
  const { log, results, batches, rehearse, next } = champions();
  rehearse('a'); // there is nothing to rehearse on
  await next('a1');
  rehearse('b');
  await next('a2');
  await next('b3');
  rehearse('b'); // it is in use
  rehearse('c');
  rehearse('d'); // which is better still
  await next('d4');
  rehearse('e'); // whose turn never comes
  batches.complete();
  expect(await results).toEqual(['a:a1', 'a:a2', 'b:b3', 'd:d4']);
  expect(log).toEqual([
    ...['a is ready', 'begin a', 'begin b', 'discard b:a1 rehearsed', 'b is ready', 'end a', 'b is ready'],
    ...[
      'begin c',
      'discard c:b3 rehearsed',
      'c is ready',
      'end c',
      'begin d',
      'discard d:b3 rehearsed',
      'd is ready',
      'end b',
    ],
    ...['begin e', 'discard e:d4 rehearsed', 'e is ready', 'end e', 'end d'],
  ]);
});

test('a rehearsal that fails is told of: the champion begins as one that had none', async () => {
  const { log, results, batches, rehearse, next } = champions((result) =>
    result[0] === 'b:a1 rehearsed' ? throwError(() => new Error('it fails')) : of(result),
  );
  await next('a1');
  rehearse('b');
  await next('b2');
  batches.complete();
  expect(await results).toEqual(['a:a1', 'b:b2']);
  expect(log).toEqual(['begin a', 'begin b', 'b is ready, it fails', 'end b', 'end a', 'begin b', 'end b']);
});

test('nobody waits for a rehearsal that is under way when it is no longer wanted', async () => {
  const held = new Subject<string[]>();
  const { log, results, batches, rehearse, next } = champions((result) =>
    result[0]?.endsWith('rehearsed') === true ? held : of(result),
  );
  await next('a1');
  rehearse('b');
  await next('b2'); // before it was ready: its own beginning does not wait
  rehearse('c');
  rehearse('d');
  batches.complete();
  expect(await results).toEqual(['a:a1', 'b:b2']);
  expect(log.filter((said) => said.endsWith('ready'))).toEqual(['b is ready', 'c is ready', 'd is ready']);
  expect(log.filter((said) => said.endsWith(' b'))).toEqual(['begin b', 'begin b', 'end b', 'end b']);
});

test('a running daemon takes another forecaster from one frame to the next and loses none', async () => {
  const directory = at('frames');
  await mkdir(directory);
  const [first, second] = await Promise.all([saveTiny(at('one'), 1), saveTiny(at('two'), 2)]);
  const settings = { directory, forecaster: at('one'), untilIdle: 8 };
  await putFrames(directory, 0, 10);
  const state = at('out/state');
  await appendChange(state, {
    at: '',
    name: 'two',
    hash: second.id.hash,
    folder: at('two'),
    why: 'for the test',
  });
  const run = await record(smallRun({ ...settings, out: at('out') }));
  await until('forecasts', () => run.forecasts.length >= 7);
  await requestRollback(state, second.id.hash);
  await until('the change', () =>
    run.notices.some((notice) => notice.includes('forecasts are those of two')),
  );
  await putFrames(directory, 10, 20);
  const { summary, forecasts } = await run.finished;
  expect(summary.frames).toMatchObject({ 'warm-up': 3, forecast: 17, rejected: 0, lost: 0 });
  expect(forecasts.map(({ forecaster }) => forecaster.hash)).toEqual([
    ...Array<string>(7).fill(first.id.hash),
    ...Array<string>(10).fill(second.id.hash),
  ]);
  expect((await readChanges(state)).map(({ why }) => why)).toEqual([
    'for the test',
    'the run ended before the change',
    'rolled back',
  ]);

  // Without a name: to the one before, which is the one that the run began with; the daemon hears of it when it starts.
  expect((await mesocast(['learn', 'rollback', at('out')])).stdout).toContain('the run goes back to');
  await putFrames(directory, 20, 23);
  const later = await (await record(smallRun({ ...settings, untilIdle: 0.6, out: at('out') }))).finished;
  expect(later.forecasts.map(({ forecaster }) => forecaster.hash)).toEqual(Array(3).fill(first.id.hash));

  // What it forecasts then is what it would have forecast from the beginning.
  await (
    await record(smallRun({ ...settings, forecaster: at('two'), untilIdle: 0.6, out: at('alone') }))
  ).finished;
  const [changed, alone] = [await forecastValues(at('out')), await forecastValues(at('alone'))];
  const after = (values: ReadonlyMap<string, Float32Array>): Map<string, Float32Array> =>
    new Map([...values].filter(([key]) => /^1\d$/.test(key.split(' ').at(-1) ?? '')));
  expect(difference(after(changed), after(alone), 65535)).toBeLessThan(1e-5);
  expect(difference(changed, alone, 65535)).toBeGreaterThan(1e-3);
  expect((await forecastLines(at('out'))).length).toBe(20);
});

test('what beat a forecaster that is no longer in use takes no place, and its weights go', async () => {
  const [state, out] = [at('overtaken'), at('overtaken-out')];
  await mkdir(state);
  const [first, engine, ledger] = [
    await saveTiny(at('given'), 1),
    await openEngine('cpu', 1),
    openLedger(state),
  ];
  const config = {
    ...smallRun({ directory: state, forecaster: at('given'), out }),
    ...{ learn: 'adapt' as const, madeBy: 'best' as const },
  };
  const [told, notices]: [Parameters<LearnerProcess['send']>[0][], string[]] = [[], []];
  let say: (message: FromLearner) => void = () => undefined;
  const live = await openLive({
    ...{ config, state, ledger, engine, first: await firstForecaster(config), now: () => new Date() },
    judge: createJudge({
      ...{ store: memoryVerified(), horizon: 5, stride: 1, forecastEvery: 1, madeBy: 'best' },
    }),
    notice: (message) => notices.push(message),
    start: ({ hear }) => {
      say = hear;
      return { send: (message) => told.push(message), close: () => Promise.resolve() };
    },
  });
  const evidence = { windows: 9, leads: 5, rmse: 1, champion: 2, persistence: 3, linear: 4 };
  const challenger = async (seed: number, over: string): Promise<string> => {
    const folder = join(versionsFolder(learningFolder(state)), `000${seed}`);
    await saveTiny(folder, seed);
    say({ type: 'challenger', folder, over, why: 'learned', evidence, scores: [] });
    return folder;
  };
  const second = await challenger(2, at('given'));
  await until('the second', () => notices.some((said) => said.includes('0002 from now on')));
  const third = await challenger(3, at('given')); // which the second has beaten meanwhile
  const fourth = await challenger(4, second);
  await until('the fourth', () => notices.some((said) => said.includes('0004 from now on')));
  // One that the device cannot run takes no place either; where only frames are gone that is no reason.
  const reasons = [new EngineError('no room for it'), new FrameError('frames are gone')];
  live.upcoming$.subscribe(({ ready }) => ready(reasons.shift()));
  const fifth = await challenger(5, fourth);
  await until('the refusal', () => notices.includes('learning: no room for it'));
  const sixth = await challenger(6, fourth);
  await until('the sixth', () => notices.some((said) => said.includes('0006 from now on')));
  await live.close();
  expect(notices.filter((said) => said.includes('from now on'))).toHaveLength(3);
  expect(told.map((message) => 'folder' in message && message.folder)).toEqual([
    ...[second, fourth, fourth, sixth],
  ]);
  for (const refused of [third, fifth]) await expect(readdir(refused)).rejects.toThrow('ENOENT');
  expect((await readChanges(state)).map(({ name }) => name)).toEqual([
    first.id.name,
    'tiny 0002',
    'tiny 0004',
    'tiny 0006',
  ]);
  await ledger.close();
  await engine.dispose();
});

test('what cannot be read any more, and what was learned with another stride, gives way to the first; a rollback to it is refused', async () => {
  const state = at('unreadable');
  await mkdir(state);
  await saveTiny(at('first'), 1);
  const [engine, ledger] = [await openEngine('cpu', 1), openLedger(state)];
  const [asked, notices]: [LearnerSetup[], string[]] = [[], []];
  const begin = async (stride: number, learned?: number) => {
    const config = {
      ...smallRun({ directory: state, forecaster: at('first'), out: at('unreadable-out') }),
      ...{ learn: 'adapt' as const, madeBy: 'best' as const, stride },
      symmetries: 'flips' as const,
    };
    const live = await openLive({
      ...{ config, state, ledger, engine, first: await firstForecaster(config), now: () => new Date() },
      judge: createJudge({
        ...{ store: memoryVerified(), horizon: 5, stride, forecastEvery: 1, madeBy: 'best' },
      }),
      notice: (message) => notices.push(message),
      start: ({ setup, hear }) => {
        asked.push(setup());
        if (learned !== undefined) {
          const evidence = { windows: 9, leads: 5, rmse: 1, champion: 2, persistence: 3, linear: 4 };
          hear({
            ...{ type: 'challenger', folder: version(learned), over: at('first'), why: 'learned' },
            ...{ evidence, scores: [] },
          });
        }
        return { send: () => undefined, close: () => Promise.resolve() };
      },
    });
    await live.close();
  };
  const version = (n: number): string => join(versionsFolder(learningFolder(state)), `000${n}`);
  const why = async (): Promise<string | undefined> => (await readChanges(state)).at(-1)?.why;
  const second = await saveTiny(version(2), 2);
  await begin(1, 2);
  await begin(1);
  expect([asked.at(-1)?.champion, await why()]).toEqual([version(2), 'learned']);
  expect(asked.at(-1)).toMatchObject({ symmetries: 'flips', stride: 1, learn: 'adapt' });

  await begin(3);
  expect([asked.at(-1)?.champion, await why()]).toEqual([
    at('first'),
    'what this state knows was learned with a stride of 1',
  ]);
  await begin(1); // that of 3 had none
  await requestRollback(state, second.id.hash);
  await begin(1);
  expect([asked.at(-1)?.champion, await why()]).toEqual([version(2), 'rolled back']);

  await writeFile(join(version(2), 'weights.safetensors'), '');
  await begin(1);
  expect([asked.at(-1)?.champion, await why()]).toEqual([at('first'), 'the one before cannot be read']);
  notices.length = 0;
  await requestRollback(state, second.id.hash);
  await begin(1);
  expect([asked.at(-1)?.champion, await why()]).toEqual([at('first'), 'the one before cannot be read']);
  expect(notices.at(-1)).toMatch(/weights.safetensors is damaged: .*: it is not gone back to$/);
  notices.length = 0;
  await begin(1);
  expect(notices).toEqual([]);
  await ledger.close();
  await engine.dispose();
});

test('what a kill has left is mended when a run is begun again', async () => {
  const state = at('killed');
  const learning = learningFolder(state);
  await mkdir(state);
  await saveTiny(at('killed-first'), 1);
  const [engine, ledger] = [await openEngine('cpu', 1), openLedger(state)];
  const config = {
    ...smallRun({ directory: state, forecaster: at('killed-first'), out: at('killed-out') }),
    ...{ learn: 'adapt' as const, madeBy: 'best' as const },
  };
  const begin = async (): Promise<void> => {
    const live = await openLive({
      ...{ config, state, ledger, engine, first: await firstForecaster(config), now: () => new Date() },
      judge: createJudge({
        ...{ store: memoryVerified(), horizon: 5, stride: 1, forecastEvery: 1, madeBy: 'best' },
      }),
      notice: () => undefined,
      start: () => ({ send: () => undefined, close: () => Promise.resolve() }),
    });
    await live.close();
  };
  await begin();
  // A change that the log has and the ledger has not, a version that was never taken, half a checkpoint.
  const folder = join(versionsFolder(learning), '0001');
  const { id } = await saveTiny(folder, 2);
  await appendChange(state, { at: '', name: 'tiny 0001', hash: id.hash, folder, why: 'learned' });
  await saveTiny(join(versionsFolder(learning), '0002'), 3);
  await writeFile(join(learning, '.checkpoint.safetensors.1-0.tmp'), '');
  await begin();
  expect((await readdir(learning)).sort()).toEqual(['log.jsonl', 'versions']);
  expect(await readdir(versionsFolder(learning))).toEqual(['0001']);
  expect((await readChanges(state)).map(({ hash, why }) => [hash === id.hash, why])).toEqual([
    [true, 'learned'],
    [false, 'the run ended before the change'],
  ]);
  await ledger.close();
  await engine.dispose();
});

test('what vouched for a forecaster is known to a run that is begun again', async () => {
  const [directory, state] = [at('vouched'), at('vouched-state')];
  await Promise.all([directory, state].map((folder) => mkdir(folder)));
  await putFrames(directory, 0, 20);
  const [engine, ledger] = [await openEngine('cpu', 1), openLedger(state)];
  const config = {
    ...smallRun({ directory, out: at('vouched-out') }),
    ...{ learn: 'scratch' as const, madeBy: 'best' as const },
  };
  const scores: Parameters<Judge['vouch']>[] = [];
  const begin = async (notices: string[] = []) =>
    openLive({
      ...{ config, state, ledger, engine, first: await firstForecaster(config) },
      judge: {
        ...createJudge({
          ...{ store: memoryVerified(), horizon: 5, stride: 1, forecastEvery: 1, madeBy: 'best' },
        }),
        vouch: (...said) => void scores.push(said),
      },
      notice: (message) => notices.push(message),
      now: () => new Date(),
    });
  const notices: string[] = [];
  const live = await begin(notices);
  for (let position = 0; position < 20; position++) {
    const path = framePath(directory, position);
    const contentHash = createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
    const source = { path, series: 'run', index: position, revision: { size: 0, mtimeNs: '' } };
    const field = { shape: [16, 16, 1], data: new Float32Array(256), sampleType: 'uint16' } as const;
    const frame = { ...field, series: 'run', index: position, position, contentHash, source };
    live.observed({ outcome: 'observed', normalisation: { low: 0, high: 65535 }, frame });
  }
  await until('a forecaster that learned', () => notices.some((said) => said.includes('from now on')));
  await live.close(); // when it has taken whatever the learner said
  expect(scores.length).toBeGreaterThan(0);
  const before = scores.splice(0);
  await (await begin()).close();
  // Of each, in whatever order: frames that come again after a crash are of the forecaster that they had.
  const sorted = (all: typeof before) => all.toSorted(([a], [b]) => a.localeCompare(b));
  expect(sorted(scores)).toEqual(sorted(before.slice(-20)));
  await ledger.close();
  await engine.dispose();
});

test('a line of the log that a full disk cut short takes no other with it', async () => {
  const state = at('cut-short');
  const change = (name: string) => ({ at: '', name, hash: name, why: 'learned' });
  for (const name of ['one', 'two']) await appendChange(state, change(name));
  const file = join(learningFolder(state), 'log.jsonl');
  const whole = await readFile(file, 'utf8');
  expect(whole.split('\n')).toHaveLength(3); // no empty line between them
  await writeFile(file, whole.slice(0, -9));
  await appendChange(state, change('three'));
  expect((await readChanges(state)).map(({ name }) => name)).toEqual(['one', 'three']);
});

test('one that ships is found where mesocast is installed now, one of a user only where it was', async () => {
  const state = at('installed-elsewhere');
  const others = '/other/state/learning/versions/0003';
  await mkdir(join(versionsFolder(learningFolder(state)), '0003'), { recursive: true });
  for (const folder of ['/old/mesocast/forecasters/dendrite', '/old/mine', others])
    await appendChange(state, { at: '', name: 'learned', hash: folder, folder, why: 'it fits' });
  const [shipped, own, anothers] = await readChanges(state);
  expect(await readdir(shipped?.folder ?? '')).toContain('forecaster.json');
  expect(own?.folder).toBe('/old/mine');
  // A version of another run is not the one of that number here.
  expect(anothers?.folder).toBe(others);
});

test('versions long out of use are deleted, but for the one that was gone back to; the log says which', async () => {
  const state = at('versions');
  const folder = versionsFolder(learningFolder(state));
  const shipped = at('shipped');
  await mkdir(shipped);
  await appendChange(state, { at: '', name: 'shipped', hash: 'shipped', folder: shipped, why: 'it fits' });
  for (let k = 1; k <= 25; k++) {
    const name = String(k).padStart(4, '0');
    await mkdir(join(folder, name), { recursive: true });
    await appendChange(state, {
      at: '',
      name,
      hash: `hash${name}`,
      folder: join(folder, name),
      why: 'learned',
    });
  }
  await forgetOldVersions(state, await readChanges(state), ['hash0002']);
  const left = ['0002', ...Array.from({ length: 20 }, (_, k) => String(k + 6).padStart(4, '0'))];
  expect((await readdir(folder)).sort()).toEqual(left);
  expect(await readdir(shipped)).toEqual([]); // what was not learned here is not ours to delete

  // The state folder may be elsewhere the next time.
  const elsewhere = at('versions-elsewhere');
  await rename(state, elsewhere);
  expect((await readChanges(elsewhere)).filter(isKept)).toHaveLength(1 + 21);
  await rename(elsewhere, state);

  const log = (await mesocast(['learn', 'log', state])).stdout.split('\n');
  expect(log[3]).toMatch(/ 0003 \(no longer on disk\): learned/);
  expect(log[2]).toMatch(/ 0002: learned/);
  const back = await mesocast(['learn', 'rollback', state, '0003']);
  expect([back.code, back.stderr]).toEqual([
    2,
    expect.stringContaining('0003 (hash0003) is no longer on disk'),
  ]);
});
