import { expect, test } from '@jest/globals';
import type { Engine, Handle } from '../../src/engine/index.js';
import { noForecaster } from '../../src/learning/champion/no-forecaster.js';
import { createChampions } from '../../src/learning/champion/champions.js';
import { shareOf } from '../../src/learning/learner/share.js';
import type { ForecasterSet } from '../../src/uncertainty/forecaster-set.js';

/** Engines and forecasters that say in `log` what is done with them. */
const opened = ({ room = Infinity, dies = '' } = {}) => {
  const log: string[] = [];
  let engines = 0;
  const engineOf = (device: string): Engine => ({
    ...{ device, liveHandles: 0 },
    another: () =>
      ++engines > room ? Promise.reject(new Error('no memory')) : Promise.resolve(engineOf(`own ${engines}`)),
    upload: ({ shape, dtype }) => {
      if (device === dies) return Promise.reject(new Error('its thread ended'));
      const handle: Handle = { shape, dtype, retain: () => handle, release: () => undefined };
      return Promise.resolve(handle);
    },
    read: () => Promise.reject(new Error()),
    compile: (_fn, inputs, { isKept = true } = {}) => {
      log.push(isKept ? `${device} keeps a program` : `${device} keeps no program`);
      const program = { inputs, outputs: {}, run: () => Promise.resolve({}) };
      return Promise.resolve({ ...program, dispose: () => Promise.resolve() });
    },
    dispose: () => {
      log.push(`${device} ends`);
      return Promise.resolve();
    },
  });
  const set = (hash: string, folder = `/learned/${hash}`): ForecasterSet => ({
    ...noForecaster(),
    ...{ id: { name: hash, hash }, folder },
    run: (engine) => ({
      ...{ engine, members: () => 1 },
      observe: async () => {
        await engine.compile(() => ({}), {});
        return [];
      },
      rollOut: () => Promise.reject(new Error()),
      dispose: () => {
        log.push(`${hash} ends`);
        return Promise.resolve();
      },
    }),
  });
  const champions = createChampions({
    engine: engineOf('the run’s'),
    ...{ first: set('first', '/mine'), tile: undefined, notice: (said) => log.push(said) },
    ...{ asked: { context: 10, horizon: 5, stride: 1 }, versions: '/learned', folderOf: () => undefined },
  });
  return { log, set, champions };
};

test('each forecaster but the first has an engine of its own, and programs of versions are not kept', async () => {
  const { log, set, champions } = opened();
  for (const one of [set('first', '/mine'), set('version'), set('chosen', '/shipped')])
    await (await champions.place(one.id.hash, one)).runner.observe([1, 1, 1], []);
  expect(log).toEqual(['the run’s keeps a program', 'own 1 keeps no program', 'own 2 keeps a program']);
});

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('of the forecasters that were in use some stay ready, that of the last batch among them', async () => {
  const { log, set, champions } = opened();
  await champions.place('first', set('first', '/mine'));
  await champions.of('first'); // its batch is still under way when others come
  for (const hash of ['a', 'b', 'c', 'd']) {
    await champions.place(hash, set(hash));
    await settled();
  }
  expect(log.splice(0)).toEqual(['a ends', 'b ends']);
  await champions.of('d');
  await champions.place('e', set('e'));
  await settled();
  expect(log.splice(0)).toEqual(['first ends']);
  await champions.dispose();
  // Engines of those that ended went to d and e.
  expect(log.splice(0, 3)).toEqual(['c ends', 'd ends', 'e ends']);
  expect(log).toEqual(['own 3 ends', 'own 1 ends', 'own 2 ends']);
});

test('an engine that has died is not taken again, nor is a forecaster that could not get ready', async () => {
  const { log, set, champions } = opened({ dies: 'own 1' });
  await champions.of('first');
  const before = await champions.place('a', set('a'));
  champions.forget('a');
  await settled();
  expect(log).toEqual(['a ends', 'own 1 ends']);
  const after = await champions.place('a', set('a'));
  expect(after).not.toBe(before);
  await after.runner.observe([1, 1, 1], []);
  expect(log.at(-1)).toBe('own 2 keeps no program');
});

test('one that gets ready leaves the processor to a batch that is under way', async () => {
  const { log, set, champions } = opened();
  await champions.of('first');
  champions.working(true);
  const placed = champions.place('version', set('version'));
  await settled();
  const state = await Promise.race([placed, Promise.resolve('waits')]);
  expect(state).toBe('waits');
  champions.working(false);
  const { runner } = await placed;
  champions.working(true);
  const observed = runner.observe([1, 1, 1], []);
  await settled();
  expect(log).toEqual([]);
  champions.working(false);
  await observed;
  expect(log).toEqual(['own 1 keeps no program']);
  // In use, it waits for nobody.
  await champions.of('version');
  champions.working(true);
  await runner.observe([1, 1, 1], []);
  expect(log).toHaveLength(2);
});

test('when no more batches come nobody waits for one', async () => {
  const { set, champions } = opened();
  await champions.of('first');
  champions.working(true);
  const placed = champions.place('version', set('version'));
  await champions.dispose();
  expect((await placed).set.id.hash).toBe('version');
});

test('where there is no room for a second engine, that of the run does for all', async () => {
  const { log, set, champions } = opened({ room: 0 });
  await (await champions.place('version', set('version'))).runner.observe([1, 1, 1], []);
  await champions.dispose();
  expect(log).toEqual([
    expect.stringMatching(/^there is no second engine, so frames wait while version gets ready: no memory$/),
    'the run’s keeps no program',
    'version ends',
  ]);
});

test('one that nothing is known of leaves its frames to the first', async () => {
  const { log, champions } = opened();
  expect((await champions.of('lost')).set.id.hash).toBe('first');
  expect(log).toEqual([expect.stringMatching(/lost: forecasts are those of first again$/)]);
});

test('a share of the cores is threads that work for a share of the time', () => {
  expect(shareOf(1, 2)).toEqual({ threads: 2, busy: 1 });
  expect(shareOf(0.5, 2)).toEqual({ threads: 1, busy: 1 });
  expect(shareOf(0.5, 3)).toEqual({ threads: 2, busy: 0.75 });
  expect(shareOf(0.25, 2)).toEqual({ threads: 1, busy: 0.5 });
  expect(shareOf(0, 64)).toEqual({ threads: 1, busy: 0.64 });
});
