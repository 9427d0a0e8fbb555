import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, open, readFile, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import type { Ledger, LedgerOptions } from '../../src/pipeline/ledger/ledger.js';
import { openLedger, readLedger } from '../../src/pipeline/ledger/ledger.js';
import type { Entry } from '../../src/pipeline/frame.js';
import { uniformNumbers } from '../../src/pipeline/random.js';
import { skillByLead } from '../../src/pipeline/skill-sums.js';
import { openStateFolder } from '../../src/pipeline/state/state-folder.js';
import { StateError } from '../../src/pipeline/errors.js';
import { nobody, nobodyReads } from '../support/nobody.js';

let folder: string;
const opened: Ledger[] = [];
const NOW = 1_700_000_000_000;
const begin = (options: LedgerOptions = {}): Ledger => {
  const ledger = openLedger(folder, { now: () => new Date(NOW), ...options });
  opened.push(ledger);
  return ledger;
};
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mesocast-ledger-'));
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((ledger) => ledger.close()));
  await rm(folder, { recursive: true });
});

const entry = (index: number, series = 's', path = `/${series}/${index}.png`): Entry => ({
  series,
  index,
  path,
  revision: { size: 10, mtimeNs: '1700000000000000001' },
});
const indices = (records: Iterable<{ index: number }>): number[] => [...records].map(({ index }) => index);

const waiting = {
  id: 'f1',
  series: 's',
  index: 4,
  position: 4,
  issuedAt: '2026-01-01T00:00:00.000Z',
  horizon: 2,
  stride: 1,
  shape: [4, 4, 1] as const,
  normalisation: { low: 0, high: 1 },
  forecaster: { name: 'n', hash: 'h' },
  leads: [],
};
const LEDGER_MODULE = new URL('../../src/pipeline/ledger/ledger.js', import.meta.url).href;
const FLIPS = Number(process.env.LEDGER_FLIPS ?? 12);

describe('ledger', () => {
  test('reads see writes at once, and a later run sees all of them', async () => {
    const first = begin();
    const check = (ledger: Ledger): void => {
      expect(ledger.series('s')).toEqual({ series: 's', first: 9, increment: 1, last: 12, shape: [4, 5, 1] });
      expect(indices(ledger.frames('s'))).toEqual([9, 10, 11, 12]);
      expect(indices(ledger.frames('s', 10, 11))).toEqual([10, 11]);
      expect(indices(ledger.unfinished('s'))).toEqual([11, 12]);
      expect(ledger.lastFinished('s')).toBe(10);
      expect(ledger.frame('s', 10)).toEqual({
        ...entry(10),
        position: 1,
        outcome: 'rejected',
        reason: 'NaN',
        at: NOW,
      });
      expect(ledger.frame('s', 13)).toBeUndefined();
      expect(ledger.counts()).toEqual({
        frames: { forecast: 1, observed: 0, 'warm-up': 0, rejected: 1, lost: 0 },
        late: 0,
        duplicate: 0,
        revised: 0,
        missing: 2,
        scores: { final: 0, expired: 0 },
      });
      expect(ledger.note('forecaster')).toEqual({ hash: 'abc' });
    };
    first.putSeries({ series: 's', first: 9, increment: 1, last: 12, shape: [4, 5, 1] });
    for (const index of [12, 9, 11, 10]) first.putFrame({ ...entry(index), position: index - 9 });
    first.putFrame(entry(1, 's/below'));
    first.finish(entry(9), 'forecast', { contentHash: 'ff' });
    first.finish(entry(10), 'rejected', { reason: 'NaN' });
    first.countMissing('s', 2);
    first.putNote('forecaster', { hash: 'abc' });
    check(first);
    await first.durable();
    check(first);
    await first.close();
    check(begin());
  });

  test('what was written is seen at every moment until it is on disk, and after', async () => {
    const ledger = begin();
    for (let index = 0; index < 200; index++) {
      ledger.putFrame({ ...entry(index), position: index });
      for (let turn = 0; turn < index % 4; turn++) await new Promise((resolve) => setImmediate(resolve));
      ledger.finish(entry(index), 'observed');
      for (let turn = 0; turn < 4; turn++) {
        const seen = [...ledger.frames('s')].map(({ outcome }) => outcome);
        expect(seen).toEqual(seen.map(() => 'observed'));
        expect(seen).toHaveLength(index + 1);
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  });

  test('a second file of the same number leaves the first one as it is', () => {
    const ledger = begin();
    ledger.putFrame(entry(1));
    ledger.finish(entry(1), 'observed');
    ledger.finish(entry(1, 's', '/s/1.tif'), 'rejected', { reason: 'number 1 is taken' });
    expect(ledger.frame('s', 1)?.outcome).toBe('observed');
    expect(ledger.duplicate(entry(1, 's', '/s/1.tif'))?.reason).toBe('number 1 is taken');
    expect(ledger.counts().frames).toMatchObject({ observed: 1, rejected: 1 });
  });

  test('an outcome given again replaces the one before and is counted once', () => {
    const ledger = begin();
    ledger.finish(entry(1), 'rejected', { reason: 'late' });
    ledger.finish(entry(1), 'rejected', { reason: 'late' });
    ledger.finish(entry(1), 'observed');
    expect(ledger.frame('s', 1)).toEqual({ ...entry(1), outcome: 'observed', at: NOW });
    expect(ledger.counts().frames).toMatchObject({ observed: 1, rejected: 0 });
  });

  test('a changed file is counted once per change', () => {
    const ledger = begin();
    ledger.revise(entry(1));
    ledger.finish(entry(1), 'observed');
    ledger.revise({ ...entry(1), revision: { size: 11, mtimeNs: '2' } });
    expect(ledger.counts().revised).toBe(1);
    expect(ledger.frame('s', 1)).toMatchObject({ outcome: 'observed', revision: { size: 11, mtimeNs: '2' } });
    ledger.revise({ ...entry(1, 's', '/moved/1.png'), revision: { size: 11, mtimeNs: '2' } });
    expect(ledger.counts().revised).toBe(1);
    expect(ledger.frame('s', 1)).toMatchObject({ path: '/moved/1.png' });
  });

  test('forecasts wait until they are finished, and stay known by id', async () => {
    const record = waiting;
    const ledger = begin();
    await ledger.forecasts.put([record, { ...record, id: 'f2' }]);
    await ledger.forecasts.put([{ ...record, ended: { status: 'final' } }]);
    await ledger.forecasts.finish(['f1', 'f1', 'unknown']);
    await ledger.close();
    const later = begin();
    const { forecasts } = later;
    expect([...forecasts.outstanding()]).toEqual([{ ...record, id: 'f2' }]);
    expect([forecasts.isFinished(record), forecasts.isFinished({ ...record, id: 'f2' })]).toEqual([
      true,
      false,
    ]);
    expect(later.counts().scores).toEqual({ final: 1, expired: 0 });
    // Its frame cannot come again: nothing is left to be known.
    later.finish(entry(4), 'observed');
    expect(forecasts.isFinished(record)).toBe(false);
    await forecasts.put([record]);
    await forecasts.finish(['f1']);
    expect(forecasts.isFinished(record)).toBe(false);
  });

  test('kill -9 loses nothing that was confirmed, and leaves no half of anything', async () => {
    const script = fileURLToPath(new URL('../support/ledger-writer.js', import.meta.url));
    let from = 0;
    for (const lines of [1, 20, 150]) {
      const child = spawn(process.execPath, [script, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
      let text = '';
      for await (const chunk of child.stdout.setEncoding('utf8')) {
        text += String(chunk);
        if (text.split('\n').length > lines) break;
      }
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
      const confirmed = Number(text.trim().split('\n').at(-1));
      expect(confirmed).toBeGreaterThanOrEqual((lines - 1) * 5);

      const ledger = begin();
      expect(ledger.notice).toBeUndefined();
      const written = indices(ledger.frames('s'));
      expect(written.length).toBeGreaterThan(confirmed);
      expect(written).toEqual(written.map((_, i) => i));
      const finished = [...ledger.frames('s')].filter(({ outcome }) => outcome !== undefined).length;
      expect(ledger.counts().frames.observed).toBe(finished);
      expect(indices(ledger.unfinished('s'))).toEqual(
        indices([...ledger.frames('s')].filter(({ outcome }) => outcome === undefined)),
      );
      expect(written.length).toBeGreaterThanOrEqual(from);
      from = written.length;
      await ledger.close();
    }
  });

  // A limit on the size of files is a full disk to whoever writes, and needs no rights.
  const limits = spawnSync('bash', ['-c', "trap '' XFSZ && ulimit -f 200"]).status === 0;
  (limits ? test : test.skip)(
    `a full disk ends the writer with its reason, and loses nothing that was confirmed${limits ? '' : ' (no bash that limits the size of files)'}`,
    async () => {
      const script = fileURLToPath(new URL('../support/ledger-writer.js', import.meta.url));
      const limited = 'trap "" XFSZ; ulimit -f 200; exec "$0" "$@"';
      const { status, stdout, stderr } = spawnSync(
        'bash',
        ['-c', limited, process.execPath, script, folder],
        { encoding: 'utf8', timeout: 40_000 },
      );
      expect(status).toBe(1);
      expect(stderr).toContain(`cannot write the ledger ${join(folder, 'ledger.mdb')}: `);
      expect(stderr).not.toContain('see commitError');
      const confirmed = Number(stdout.trim().split('\n').at(-1));
      expect(confirmed).toBeGreaterThan(10);
      const ledger = begin();
      expect(ledger.notice).toBeUndefined();
      const written = indices(ledger.frames('s'));
      expect(written.length).toBeGreaterThan(confirmed);
      expect(written).toEqual(written.map((_, i) => i)); // nothing later than what could not be written
      await ledger.close();
    },
  );

  test('the oldest records of a long series are forgotten, its totals are not', async () => {
    const ledger = begin({ keep: 1000 });
    for (let index = 0; index < 3000; index++) {
      ledger.putFrame({ ...entry(index), position: index });
      if (index === 700) continue; // on its way still: nothing from here on can be forgotten
      ledger.finish(entry(index), index % 2 === 0 ? 'forecast' : 'observed');
      if (index === 5) ledger.finish(entry(5, 's', '/s/5.tif'), 'rejected', { reason: 'number 5 is taken' });
      if (index % 50 === 0) await ledger.durable();
    }
    expect(indices(ledger.frames('s'))[0]).toBe(700);
    ledger.finish(entry(700), 'lost');
    const kept = indices(ledger.frames('s'));
    expect(kept[0]).toBe(2000);
    expect(kept.at(-1)).toBe(2999);
    expect([1999, 2000].map((index) => ledger.isForgotten('s', index))).toEqual([true, false]);
    expect(ledger.duplicate(entry(5, 's', '/s/5.tif'))).toBeUndefined();
    expect(ledger.counts()).toMatchObject({
      frames: { forecast: 1499, observed: 1500, lost: 1, rejected: 1 },
      duplicate: 1,
    });
    await ledger.close();
    const later = begin();
    expect(later.isForgotten('s', 1999)).toBe(true);
    expect(later.counts()).toEqual(ledger.counts());
  });

  test('skill is kept by series and lead', async () => {
    const ledger = begin();
    const record = (id: string, rmse: number) => ({
      ...waiting,
      id,
      leads: [1, 2].map((lead) => ({
        ...{
          lead,
          rmse,
          persistenceRmse: 0.5,
          linearRmse: 1,
          skill: 0,
          ssim: 1,
        },
        betweenRmse: [0.51, 0.6, 0.8] as const,
        ...{ madeBy: 'forecaster' as const, forecasterRmse: rmse },
      })),
      ended: { status: 'final' as const },
    });
    await ledger.forecasts.put([record('a', 0.3), record('b', 0.4)]);
    await ledger.forecasts.finish(['a', 'b']);
    const expected = 1 - Math.sqrt((0.3 ** 2 + 0.4 ** 2) / (2 * 0.5 ** 2));
    const { 1: first, 2: last } = skillByLead([ledger.countsOf('s').skill]);
    expect(first).toBeCloseTo(expected, 12);
    expect(last).toBeCloseTo(expected, 12);
  });

  test('another process reads it while it is written, and changes nothing', async () => {
    const ledger = begin();
    ledger.putSeries({ series: 's', first: 0, increment: 1 });
    for (let index = 0; index < 50; index++) ledger.finish(entry(index), 'observed');
    await ledger.durable();
    const reader = readLedger(folder);
    expect(indices(reader.frames('s'))).toHaveLength(50);
    expect(reader.seriesNames()).toEqual(['s']);
    expect(reader.counts()).toEqual(ledger.counts());
    await reader.close();
    ledger.finish(entry(50), 'lost');
    await ledger.durable();
    expect(() => readLedger(join(folder, 'nowhere'))).toThrow(/there is no ledger/);
  });

  const damage: Record<string, (path: string) => Promise<void>> = {
    'cut in half': async (path) => truncate(path, Math.floor((await stat(path)).size / 2)),
    emptied: (path) => truncate(path, 0),
    'another file': (path) => writeFile(path, 'this is no database\n'.repeat(5000)),
    'overwritten inside': async (path) => {
      const file = await open(path, 'r+');
      await file.write(Buffer.alloc(16 * 4096, 0xff), 0, 16 * 4096, 3 * 4096);
      await file.close();
    },
  };
  test.each(Object.keys(damage))('a damaged ledger is set aside and a new one begun: %s', async (kind) => {
    const first = begin();
    for (let index = 0; index < 2000; index++) first.finish(entry(index), 'observed');
    await first.close();
    await damage[kind]?.(join(folder, 'ledger.mdb'));
    const ledger = begin();
    expect(ledger.notice).toContain('damaged-1');
    expect(ledger.frame('s', 1)).toBeUndefined();
    ledger.finish(entry(5), 'observed');
    await ledger.durable();
    expect(await readdir(folder)).toContain('ledger.mdb.damaged-1');
    await ledger.close();
    expect(begin().notice).toBeUndefined();
  });

  const testAsNobody = nobodyReads ? test : test.skip;
  testAsNobody('who may not write its lock file does not call a ledger damaged that is in use', async () => {
    await begin().close();
    await damage['another file']?.(join(folder, 'ledger.mdb')); // as pages that are reused look
    await writeFile(join(folder, 'ledger.mdb-lock'), '');
    await chmod(join(folder, 'ledger.mdb-lock'), 0o444);
    await chmod(folder, 0o755);
    const script = `import { readLedger } from ${JSON.stringify(LEDGER_MODULE)};
      try { readLedger(process.argv[1]); } catch (error) { console.log(error.message, error.hint); }`;
    const said = (): string =>
      spawnSync(process.execPath, ['--input-type=module', '-e', script, folder], {
        ...nobody,
        encoding: 'utf8',
      }).stdout;
    const state = openStateFolder(folder);
    expect(said()).toMatch(/changes while it is read: .*ledger\.mdb-lock .* run this as the user of the run/);
    state.release();
    expect(said()).toMatch(/is damaged/);
  });

  const onLinux = process.platform === 'linux' ? test : test.skip;
  onLinux('a sound ledger stays in use when its check is killed', async () => {
    const first = begin();
    first.finish(entry(1), 'observed');
    await first.close();
    const script = `import { openLedger } from ${JSON.stringify(LEDGER_MODULE)};
      try { console.log(openLedger(process.argv[1]).notice ?? 'sound'); } catch (error) { console.log(error.message); }
      process.exit();`;
    for (const [signal, expected] of [
      ['SIGKILL', /the check of the ledger .* was stopped by SIGKILL/],
      ['SIGHUP', /^sound$/],
    ] as const) {
      const opening = spawn(process.execPath, ['--input-type=module', '-e', script, folder]);
      let said = '';
      opening.stdout.on('data', (data: Buffer) => (said += data.toString()));
      const ended = once(opening, 'close');
      const children = `/proc/${opening.pid}/task/${opening.pid}/children`;
      let checker = '';
      while (checker === '') {
        checker = (await readFile(children, 'utf8')).trim();
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      spawnSync('kill', ['-s', signal.slice(3), checker]);
      await ended;
      expect(said.trim()).toMatch(expected);
    }
    expect(await readdir(folder)).not.toContain('ledger.mdb.damaged-1');
    expect(begin().frame('s', 1)).toMatchObject({ outcome: 'observed' });
  });

  test('a bit that flips anywhere is found, or hits nothing that is in use', async () => {
    const first = begin();
    for (let index = 0; index < 300; index++) first.finish(entry(index), 'observed', { contentHash: 'ab' });
    const expected = [...first.frames('s')];
    await first.close();
    const path = join(folder, 'ledger.mdb');
    const sound = await readFile(path);
    const random = uniformNumbers(7);
    let found = 0;
    for (let trial = 0; trial < FLIPS; trial++) {
      const bytes = Buffer.from(sound);
      const at = Math.floor(random() * bytes.length);
      bytes[at] = bytes[at]! ^ (1 << Math.floor(random() * 8));
      await writeFile(path, bytes);
      await rm(`${path}-lock`, { force: true });
      const ledger = begin();
      if (ledger.notice !== undefined) found++;
      else expect([...ledger.frames('s')]).toEqual(expected);
      await ledger.close();
    }
    expect(found).toBeGreaterThan(FLIPS / 10);
  });

  test('scores that forecasts are judged by are kept of series that go on, however many, and of some that are over', async () => {
    const ledger = begin();
    const row = (series: string, position: number) => ({ series, position, stride: 1, scores: [] });
    for (const position of [4, 5]) ledger.verified.put(row('first', position));
    for (let k = 0; k < 300; k++) ledger.verified.put(row(`series ${k}`, 4));
    const places = (series: string): number[] =>
      [...ledger.verified.rows(series)].map(({ position }) => position);
    expect([places('first'), places('series 0')]).toEqual([[4, 5], [4]]);
    // Two go on, and the others end.
    for (let position = 6; position < 3100; position++) {
      ledger.verified.put(row('first', position));
      ledger.verified.put(row('series 7', position));
      ledger.verified.forget('first', position);
    }
    ledger.verified.put(row('last', 4));
    expect(['first', 'series 0', 'series 7', 'last'].map((series) => places(series).at(-1))).toEqual([
      ...[3099, undefined, 3099, 4],
    ]);
    expect(
      Array.from({ length: 300 }, (_, k) => places(`series ${k}`)).filter((of) => of.length > 0),
    ).toHaveLength(254);
    ledger.verified.forget('last', 5);
    expect(places('last')).toEqual([]);
  });

  test('scores of series that are too short to be scored often are forgotten all the same', async () => {
    const ledger = begin();
    for (let k = 0; k < 6000; k++)
      ledger.verified.put({ series: `series ${k}`, position: 4, stride: 1, scores: [] });
    const left = Array.from({ length: 6000 }, (_, k) => [...ledger.verified.rows(`series ${k}`)].length);
    expect(left[0]).toBe(0);
    expect(left[5999]).toBe(1);
    expect(left.filter((rows) => rows > 0).length).toBeLessThan(5200);
  });

  test('what is rebuilt after damage keeps the numbering and normalisation of its series', async () => {
    const facts = { series: 's', first: 900, increment: 10, normalisation: { low: 0, high: 7 } };
    const first = begin();
    first.putSeries({ ...facts, last: 960 });
    first.finish(entry(900), 'observed');
    const begun = { from: 0, after: { s: 890 } };
    first.putNote('start:s', begun);
    first.putNote('forecaster', 'h');
    await first.close();
    await truncate(join(folder, 'ledger.mdb'), 5000);
    const ledger = begin();
    expect(ledger.notice).toContain('numbering and normalisation of 1 series');
    expect(ledger.allSeries()).toEqual([facts]);
    expect([ledger.note('start:s'), ledger.note('forecaster')]).toEqual([begun, undefined]);
    await ledger.close();
    await writeFile(join(folder, 'series.json'), '{"version":1,"ser');
    await truncate(join(folder, 'ledger.mdb'), 5000);
    expect(begin().allSeries()).toEqual([]);
  });

  test('a ledger of version 1 is rewritten with all it knew', async () => {
    const old = await readFile(
      fileURLToPath(new URL('../../../test/support/ledger-v1.mdb.gz', import.meta.url)),
    );
    await writeFile(join(folder, 'ledger.mdb'), gunzipSync(old));
    expect(() => readLedger(folder)).toThrow(/version 1, this mesocast reads version 2/);
    const check = (ledger: Ledger): void => {
      expect(ledger.notice).toBeUndefined();
      expect(ledger.series('run/a')).toEqual({
        series: 'run/a',
        first: 10,
        increment: 10,
        last: 50,
        shape: [4, 5, 1],
        sampleType: 'uint16',
        normalisation: { low: 0, high: 65535 },
      });
      expect(ledger.counts()).toEqual({
        frames: { forecast: 2, observed: 0, 'warm-up': 4, rejected: 3, lost: 0 },
        late: 0,
        duplicate: 1,
        revised: 1,
        missing: 3,
        scores: { final: 1, expired: 0 },
      });
      expect(ledger.countsOf('run/a').frames).toMatchObject({ forecast: 1, 'warm-up': 2, rejected: 1 });
      expect(indices(ledger.unfinished('run'))).toEqual([50]);
      expect(ledger.frame('run', 30)).toEqual({
        series: 'run',
        index: 30,
        path: '/data/run/f_30.png',
        revision: { size: 10, mtimeNs: '1700000000000000001' },
        position: 2,
        outcome: 'rejected',
        reason: 'it ends at byte 9',
      });
      expect([...ledger.duplicates('run')]).toMatchObject([
        { path: '/data/run/f_10.npy', kind: 'duplicate' },
      ]);
      expect([...ledger.forecasts.outstanding()].map(({ id }) => id)).toEqual(['f2']);
      expect(ledger.note('forecaster')).toBe('h');
    };
    const first = begin();
    check(first);
    await first.close();
    check(begin());
    expect((await readdir(folder)).sort()).toEqual(['ledger.mdb', 'ledger.mdb-lock', 'series.json']);
  });

  test('a ledger of another version is refused, not touched', async () => {
    const first = begin();
    first.finish(entry(1), 'observed');
    await first.close();
    const { open: openDatabase } = await import('lmdb');
    const raw = openDatabase({ path: join(folder, 'ledger.mdb'), noSubdir: true });
    await raw.openDB<unknown, string[]>('meta', {}).put(['version'], 99);
    await raw.close();
    expect(() => openLedger(folder)).toThrow(StateError);
    expect(() => openLedger(folder)).toThrow('version 99');
  });
});
