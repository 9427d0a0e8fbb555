import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Delivery } from '../../src/pipeline/delivery/delivery.js';
import { readDelivery, writeDelivery } from '../../src/pipeline/delivery/delivery-file.js';
import { SinkError } from '../../src/pipeline/errors.js';
import type { Score } from '../../src/pipeline/forecast.js';
import { keyOf } from '../../src/pipeline/delivery/forecast-message.js';
import type { SinkQueueOptions } from '../../src/pipeline/delivery/sink-queue.js';
import { createSinkQueue } from '../../src/pipeline/delivery/sink-queue.js';
import { openSinkFolder } from '../../src/pipeline/delivery/sink-folder.js';
import { forecastOf, frameOf } from '../support/forecasts.js';

let state: string;
beforeEach(async () => {
  state = await mkdtemp(join(tmpdir(), 'mesocast-queue-'));
});
afterEach(() => rm(state, { recursive: true }));

const deliveryAt = (position: number): Delivery => ({
  type: 'forecast',
  forecast: forecastOf(
    frameOf(position, (at) => at),
    (lead, at) => 100 * lead + at,
  ),
});
const turns = async (): Promise<void> => {
  for (let n = 0; n < 20; n++) await new Promise((resolve) => setImmediate(resolve));
};
/** Until a file that is being written is there. */
const onDisk = async (folder: string, count: number): Promise<void> => {
  const names = (): Promise<string[]> => readdir(join(state, 'deliveries/s', folder)).catch(() => []);
  while ((await names()).filter((name) => name.endsWith('.delivery')).length !== count) await turns();
};

const setup = async (
  deliver: (position: number) => void | Promise<void>,
  options: Partial<SinkQueueOptions> = {},
) => {
  const [taken, pauses, notices] = [[], [], []] as [number[], number[], string[]];
  const stop = new AbortController();
  const queue = createSinkQueue({
    name: 's',
    policy: 'block',
    limit: 2,
    diskBytes: 1e9,
    ...(await openSinkFolder(state, 's')),
    signal: stop.signal,
    notice: (message) => notices.push(message),
    firstDelay: 4,
    longestDelay: 10,
    random: () => 1,
    pause: async (ms) => void pauses.push(ms),
    deliver: async (delivery) => {
      const position = delivery.type === 'forecast' ? delivery.forecast.position : -1;
      await deliver(position);
      taken.push(position);
    },
    ...options,
  });
  /** Offers and says, in `settled`, what the run may forget. */
  const settled: number[] = [];
  const offer = async (position: number): Promise<void> => {
    const offered = await queue.offer(deliveryAt(position));
    void offered.settled.then(() => settled.push(position));
  };
  return { queue, taken, pauses, notices, settled, offer, stop };
};
/** Fails so many times, then works. */
const failing = (times: number, error: () => Error = () => new SinkError('the disk is full')) => {
  let left = times;
  return () => {
    if (left-- > 0) throw error();
  };
};
/** Works once `open` was called. */
const gate = () => {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { open: () => open(), passes: () => opened };
};

test('a failing sink is tried again after growing, jittered pauses, in order, and people are told once', async () => {
  const { queue, taken, pauses, notices, offer } = await setup(failing(4));
  for (const position of [1, 2]) await offer(position);
  await queue.drain();
  expect(taken).toEqual([1, 2]);
  expect(pauses).toEqual([4, 8, 10, 10]);
  expect(notices).toEqual(['sink s: the disk is full; trying again until it works', 'sink s works again']);
  expect(queue.counts()).toEqual({
    delivered: 2,
    retried: 4,
    dropped: 0,
    refused: 0,
    spilled: 0,
    queued: 0,
    waiting: 0,
  });
  const short = await setup(failing(1), { random: () => 0 });
  await short.offer(1);
  await short.queue.drain();
  expect(short.pauses).toEqual([2]);
});

test('a receiver that says when it wants to be asked again is heard', async () => {
  const busy = () => new SinkError('429', { retryAfterMs: 3000 });
  const { queue, pauses, offer } = await setup(failing(1, busy));
  await offer(1);
  await queue.drain();
  expect(pauses).toEqual([3000]);
});

test('block: what does not fit into the queue waits for room', async () => {
  const { open, passes } = gate();
  const { taken, offer, settled } = await setup(passes);
  const offers = [1, 2, 3, 4].map((position) => {
    const accepted = offer(position);
    return accepted.then(() => position);
  });
  const first = await Promise.race([offers[3], turns().then(() => 'waits')]);
  expect(first).toBe('waits');
  await Promise.all(offers.slice(0, 3));
  open();
  await Promise.all(offers);
  await turns();
  expect([taken, settled]).toEqual([
    [1, 2, 3, 4],
    [1, 2, 3, 4],
  ]);
});

test('drop_oldest: a sink that hangs loses the oldest that wait; nothing waits for it, every drop is counted', async () => {
  const { open, passes } = gate();
  const { queue, taken, notices, offer, settled } = await setup(passes, { policy: 'drop_oldest' });
  for (const position of [1, 2, 3, 4, 5, 6]) await offer(position);
  await turns();
  expect(settled).toEqual([1, 2, 3, 4, 5, 6]);
  open();
  await queue.drain();
  expect(taken).toEqual([1, 5, 6]);
  expect(queue.counts()).toMatchObject({ delivered: 3, dropped: 3 });
  expect(notices).toEqual([
    expect.stringContaining('missed a forecast of run1, frame 20: it is 2 deliveries behind'),
  ]);
});

test('drop_oldest: what is left when the run is cut off does not come again, and is counted', async () => {
  const { passes } = gate();
  const { queue, offer, stop, settled } = await setup(passes, { policy: 'drop_oldest' });
  for (const position of [1, 2, 3]) await offer(position);
  const drained = queue.drain();
  await turns();
  stop.abort();
  await drained;
  expect(settled).toEqual([1, 2, 3]);
  expect(queue.counts()).toMatchObject({ delivered: 0, dropped: 3, queued: 0 });
});

test('drop_oldest: a few tries and no more', async () => {
  const { queue, taken, offer } = await setup(failing(3), { policy: 'drop_oldest' });
  for (const position of [1, 2]) await offer(position);
  await queue.drain();
  expect(taken).toEqual([2]);
  expect(queue.counts()).toMatchObject({ delivered: 1, retried: 2, dropped: 1 });
});

test('an error of a plugin’s own copy of mesocast, and of fetch, is known by what it says', async () => {
  const thrown = [
    Object.assign(new Error('busy'), { tag: 'sink', retryable: true, retryAfterMs: 600_000 }),
    new TypeError('fetch failed', { cause: Object.assign(new Error('no'), { code: 'ECONNREFUSED' }) }),
    new TypeError('Failed to parse URL', { cause: new TypeError('Invalid URL') }),
  ];
  const { queue, taken, pauses, offer } = await setup(() => {
    const error = thrown.shift();
    if (error !== undefined) throw error;
  });
  await offer(1);
  await queue.drain();
  expect([taken, queue.counts()]).toMatchObject([[], { retried: 2, refused: 1 }]);
  expect(pauses[0]).toBe(600_000);
});

test('what is refused for good is put aside whole, and the next goes on', async () => {
  const refusing = (position: number): void => {
    if (position === 1) throw new SinkError('no such bucket', { retryable: false });
    if (position === 2) throw new TypeError('x is undefined');
  };
  const { queue, taken, notices, offer, settled } = await setup(refusing);
  for (const position of [1, 2, 3]) await offer(position);
  await queue.drain();
  expect([taken, settled]).toEqual([[3], [1, 2, 3]]);
  expect(queue.counts()).toMatchObject({ delivered: 1, refused: 2 });
  expect(notices).toEqual([
    expect.stringMatching(/^sink s refused a forecast of run1, frame 10: no such bucket; .*mesocast replay/),
  ]);
  const { refused } = await openSinkFolder(state, 's');
  expect(await Promise.all(refused.list().map((kept) => refused.read(kept)))).toEqual([
    deliveryAt(1),
    deliveryAt(2),
  ]);
});

test('a required sink whose refusals fill the disk is waited for instead', async () => {
  let refusals = 2;
  const { queue, taken, offer, pauses, notices } = await setup(
    () => {
      if (refusals-- > 0) throw new SinkError('no such bucket', { retryable: false });
    },
    { diskBytes: 0 },
  );
  await offer(1);
  await queue.drain();
  expect([taken, pauses]).toEqual([[1], [4, 8]]);
  expect(queue.counts()).toMatchObject({ delivered: 1, refused: 0, retried: 2 });
  expect(notices).toEqual([expect.stringContaining('has reached 0 bytes, so nothing more is put aside')]);
});

test('spill: a dead sink holds nothing up, and everything arrives after, in order, across a crash', async () => {
  const dead = await setup(
    () => {
      throw new SinkError('no route to host');
    },
    { policy: 'spill', pause: () => new Promise(() => undefined) },
  );
  for (const position of [1, 2, 3, 4, 5]) await dead.offer(position);
  await onDisk('waiting', 5);
  await turns();
  expect(dead.settled).toEqual([1, 2, 3, 4, 5]);
  dead.stop.abort(); // as good as a kill: nothing is tidied up

  const after = await setup(() => undefined, { policy: 'spill' });
  await after.offer(5); // a frame whose outcome was not written down comes again
  await after.offer(6);
  await after.queue.drain();
  expect(after.taken).toEqual([1, 2, 3, 4, 5, 6]);
  expect(await readdir(join(state, 'deliveries/s/waiting'))).toEqual([]);
});

test('spill: a slow sink keeps so many in memory, the oldest go to disk first', async () => {
  const { open, passes } = gate();
  const { queue, taken, offer, settled } = await setup(passes, { policy: 'spill' });
  for (const position of [1, 2, 3, 4, 5]) await offer(position);
  await onDisk('waiting', 3);
  await turns();
  expect(settled).toEqual([1, 2, 3]);
  open();
  await queue.drain();
  expect(taken).toEqual([1, 2, 3, 4, 5]);
  expect(queue.counts()).toMatchObject({ delivered: 5, spilled: 3, waiting: 0 });
});

test('spill: at the end of a run what a dead sink did not get is left, and said', async () => {
  const { queue, notices, offer } = await setup(
    () => {
      throw new SinkError('no route to host');
    },
    {
      policy: 'spill',
      pause: () => turns(),
    },
  );
  for (const position of [1, 2]) await offer(position);
  await queue.drain();
  expect(queue.counts()).toMatchObject({ delivered: 0, queued: 0, waiting: 2 });
  expect(notices.at(-1)).toMatch(
    /2 deliveries wait on disk; the next run, or mesocast replay, delivers them/,
  );
});

test('spill: a sink that works again while the run ends gets what waits; one that asks for more time does not', async () => {
  for (const [retryAfterMs, taken] of [
    [0, [1, 2]],
    [60_000, []],
  ] as const) {
    const busy = () => new SinkError('busy', { retryAfterMs });
    const { open, passes } = gate();
    // Nobody tries again before the run is over.
    const run = await setup(failing(4, busy), { policy: 'spill', pause: passes });
    for (const position of [1, 2]) await run.offer(position);
    await turns();
    expect(run.queue.trouble()).toBe('busy');
    const drained = run.queue.drain();
    open();
    await drained;
    expect(run.taken).toEqual(taken);
    expect(run.queue.counts()).toMatchObject({ delivered: taken.length, waiting: 2 - taken.length });
    await rm(join(state, 'deliveries'), { recursive: true });
  }
});

test('spill: what cannot be read from disk when the run ends is left for the next one, and what came after it', async () => {
  const folders = await openSinkFolder(state, 's');
  await folders.spill.put(deliveryAt(1), 'a test');
  const read = () => Promise.reject(Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' }));
  const { queue, taken, notices, settled, offer } = await setup(() => undefined, {
    ...folders,
    spill: { ...folders.spill, read },
    policy: 'spill',
    pause: () => turns(),
  });
  await offer(2);
  await queue.drain();
  expect([taken, settled]).toEqual([[], [2]]);
  expect(queue.counts()).toMatchObject({ delivered: 0, queued: 0, waiting: 2 });
  expect(notices[0]).toBe('sink s: EIO: i/o error, read; trying again until it can be read');
  expect(notices.at(-1)).toMatch(/2 deliveries wait on disk/);
  const after = await setup(() => undefined);
  await after.queue.drain();
  expect(after.taken).toEqual([1, 2]);
});

test('a queue that is held gives what waits to the sink that comes after, in order', async () => {
  const stuck: AbortSignal[] = [];
  const run = await setup(() => undefined, {
    grace: 0,
    deliver: (_delivery, signal) => {
      stuck.push(signal);
      return new Promise(() => undefined); // a sink that does not even listen
    },
  });
  for (const position of [1, 2]) await run.offer(position);
  await run.queue.hold();
  expect(stuck.map(({ aborted }) => aborted)).toEqual([true]);
  await run.offer(3);
  const fourth = run.offer(4);
  await turns();
  expect(run.queue.counts()).toMatchObject({ delivered: 0, queued: 3 });
  const taken: unknown[] = [];
  run.queue.resume({
    policy: 'block',
    limit: 2,
    diskBytes: 1e9,
    deliver: async (delivery) => void taken.push(delivery),
  });
  await fourth;
  await run.queue.drain();
  expect(taken).toEqual([1, 2, 3, 4].map(deliveryAt));
  expect(run.settled).toEqual([1, 2, 3, 4]);
});

test('a delivery under way is given some grace before its queue is held', async () => {
  const { open, passes } = gate();
  const run = await setup(passes, { grace: 60_000 });
  for (const position of [1, 2]) await run.offer(position);
  const holding = run.queue.hold();
  expect(await Promise.race([holding, turns().then(() => 'waits')])).toBe('waits');
  open();
  await holding;
  expect(run.taken).toEqual([1]);
  run.queue.resume();
  await run.queue.drain();
  expect(run.taken).toEqual([1, 2]);
});

test('what waits for a sink that is removed stays on disk, and nobody waits for it any more', async () => {
  const run = await setup(() => new Promise(() => undefined), { grace: 0 });
  for (const position of [1, 2, 3]) await run.offer(position);
  const fourth = run.offer(4); // no room
  await run.queue.hold();
  await run.queue.leave();
  await fourth;
  await run.offer(5);
  await turns();
  expect(run.settled.sort()).toEqual([1, 2, 3, 4, 5]);
  expect(run.notices.at(-1)).toMatch(/3 deliveries stay on disk until it is among the sinks again/);
  const after = await setup(() => undefined);
  await after.queue.drain();
  expect(after.taken).toEqual([1, 2, 3, 4]);

  const dropping = await setup(() => new Promise(() => undefined), { grace: 0, policy: 'drop_oldest' });
  for (const position of [1, 2]) await dropping.offer(position);
  await dropping.queue.hold();
  await dropping.queue.leave();
  expect(dropping.queue.counts()).toMatchObject({ dropped: 2, queued: 0, waiting: 0 });
});

test('spill: a full disk makes it wait like block, and loses nothing', async () => {
  const { open, passes } = gate();
  const { queue, taken, notices, offer } = await setup(passes, { policy: 'spill', diskBytes: 0 });
  const offers = [1, 2, 3, 4].map((position) => offer(position).then(() => position));
  expect(await Promise.race([offers[3], turns().then(() => 'waits')])).toBe('waits');
  open();
  await Promise.all(offers);
  await queue.drain();
  expect(taken).toEqual([1, 2, 3, 4]);
  expect(notices).toContainEqual(expect.stringContaining('so the run waits for it'));
});

test('an abort ends retries at once', async () => {
  const { queue, offer, stop, settled } = await setup(failing(Infinity), { pause: () => turns() });
  await offer(1);
  await turns();
  stop.abort();
  await queue.drain();
  expect(settled).toEqual([]);
});

test('a delivery is the same after it was on disk; damaged files are refused and set aside', async () => {
  const { forecast } = deliveryAt(1) as Extract<Delivery, { type: 'forecast' }>;
  const { frames } = forecast;
  const uncertainty = {
    members: 4,
    spread: frames.map(Math.sqrt),
    interval: { level: 0.9, lower: frames, upper: frames.map((v) => v + 1) },
  };
  const score: Score = { ...forecast, status: 'expired', reason: 'series ended', leads: [] };
  const path = join(state, 'x.delivery');
  const because = { reason: 'a test', at: '2024-01-01T00:00:00.000Z' };
  for (const delivery of [
    { type: 'forecast', forecast: { ...forecast, uncertainty } },
    { type: 'score', score: JSON.parse(JSON.stringify(score)) as Score },
  ] as const) {
    await writeDelivery(path, delivery, because);
    expect(await readDelivery(path)).toEqual({ delivery, because });
  }
  await writeDelivery(path, { type: 'forecast', forecast }, because);
  const bytes = await readFile(path);
  for (const damaged of [
    bytes.subarray(0, -1),
    bytes.subarray(0, 20),
    Buffer.alloc(0),
    Buffer.from('{"version":2}\n'),
  ]) {
    await writeFile(path, damaged);
    await expect(readDelivery(path)).rejects.toMatchObject({ tag: 'state' });
  }

  const before = await openSinkFolder(state, 's');
  for (const position of [1, 2]) await before.spill.put(deliveryAt(position), 'a test');
  await writeFile(before.spill.list()[0]?.path ?? '', 'x');
  const { queue, taken, notices } = await setup(() => undefined);
  await queue.drain();
  expect([taken, notices]).toEqual([[2], [expect.stringContaining('cannot be delivered')]]);
  expect(await readdir(join(state, 'deliveries/s/waiting'))).toEqual([
    `000000000001-${keyOf(deliveryAt(1))}.delivery.damaged`,
  ]);
});
