import { isDeepStrictEqual } from 'node:util';
import type { AttachConfig } from '../config/config.js';
import { messageOf } from '../errors.js';
import type { DeliveryCounts } from '../run.js';
import { closeSinks, deliverTo, openedWhenPossible, openSinks, type NamedSink } from './delivery.js';
import { addDeliveryCounts } from './delivery-counts.js';
import { openSinkFolder } from './sink-folder.js';
import { createSinkQueue, type QueueSettings, type SinkQueue } from './sink-queue.js';
import { createSinks, recordSinks, sinkNames } from './sinks.js';

/** How a sink is, for `mesocast status`. */
export interface SinkHealth extends DeliveryCounts {
  /** Why it is being tried again, while it is. */
  readonly trouble?: string;
}

/** The sinks of a run with their queues, and how to go on with others. */
export interface SinkSet {
  /** As they are at this moment. */
  queues(): readonly SinkQueue[];
  /** Of all that the run has had, by name. */
  counts(): Record<string, DeliveryCounts>;
  health(): Record<string, SinkHealth>;
  /** As `AttachedRun.changeSinks`. */
  change(sinks: AttachConfig['sinks']): Promise<string[]>;
  /** The run is over: resolves when each queue has drained. */
  drain(): Promise<void>;
  close(): Promise<void>;
}

export interface SinkSetOptions {
  /** Absolute: where sinks write. */
  readonly out: string;
  /** The state folder. */
  readonly state: string;
  /** Ends everything at once. */
  readonly signal: AbortSignal;
  readonly notice: (message: string) => void;
}

interface Member extends NamedSink {
  readonly queue: SinkQueue;
}

/**
 * Opens sinks, each with its queue, which begins at once with what lies on disk for it.
 * @throws StartupError naming the sink: nothing is left open then
 */
export const openSinkSet = async (
  first: readonly NamedSink[],
  { out, state, signal, notice }: SinkSetOptions,
): Promise<SinkSet> => {
  const queueSettings = ({ settings, sink }: NamedSink): QueueSettings => ({
    policy: settings.policy,
    limit: settings.queue,
    diskBytes: settings.diskBytes,
    deliver: (delivery, interrupted) => deliverTo(sink, delivery, interrupted),
  });
  /** The folders come first: afterwards nothing can fail any more. */
  const queuesFor = async (sinks: readonly NamedSink[]): Promise<() => Member[]> => {
    const folders = await Promise.all(sinks.map(({ name }) => openSinkFolder(state, name)));
    return () =>
      sinks.map((sink, at) => ({
        ...sink,
        queue: createSinkQueue({
          ...folders[at]!,
          ...queueSettings(sink),
          name: sink.name,
          signal,
          notice,
        }),
      }));
  };
  const open = (sinks: readonly NamedSink[]): Promise<void> => openSinks(sinks, signal, notice);

  await recordSinks(
    state,
    out,
    first.map(({ settings }) => settings),
  );
  const begin = await queuesFor(first);
  await open(first);
  let members = begin();
  /** Counts of those that are no longer among the sinks. */
  const gone = new Map<string, DeliveryCounts>();

  const change = async (sinks: AttachConfig['sinks']): Promise<string[]> => {
    const names = sinkNames(sinks);
    const wanted = new Map(sinks.map((settings, at) => [names[at] ?? settings.name, settings]));
    const before = new Map(members.map((member) => [member.name, member]));
    const differing = members.filter(({ name, settings }) => !isDeepStrictEqual(settings, wanted.get(name)));
    const isNew = (name: string): boolean => !before.has(name) || differing.some((old) => old.name === name);
    const fresh = (await createSinks(sinks, out, notice)).filter(({ name }) => isNew(name));
    const beginAdded = await queuesFor(fresh.filter(({ name }) => !before.has(name)));

    // Sinks that write the same files must not do so at the same time: the old ones close first.
    await Promise.all(differing.map(({ queue }) => queue.hold()));
    await closeSinks(differing, notice);
    try {
      await open(fresh);
    } catch (error) {
      // They have worked in this process: one that is away just now is tried until it works.
      const again = new Map(
        differing.map((old) => [old.name, { ...old, sink: openedWhenPossible(old.name, old.sink, notice) }]),
      );
      await open([...again.values()]);
      for (const old of again.values()) old.queue.resume(queueSettings(old));
      members = members.map((one) => again.get(one.name) ?? one);
      throw error;
    }
    const removed = differing.filter(({ name }) => !wanted.has(name));
    for (const { name, queue } of removed) {
      await queue.leave();
      gone.set(name, addDeliveryCounts(gone.get(name), queue.counts()));
    }
    const opened = new Map(beginAdded().map((member) => [member.name, member]));
    for (const sink of fresh) {
      const old = before.get(sink.name);
      if (old === undefined) continue;
      old.queue.resume(queueSettings(sink));
      opened.set(sink.name, { ...sink, queue: old.queue });
    }
    members = names.flatMap((name) => opened.get(name) ?? before.get(name) ?? []);
    await recordSinks(state, out, sinks).catch((error: unknown) => notice(messageOf(error)));
    return [
      ...fresh.map(({ name }) => `sink ${name} ${before.has(name) ? 'has new settings' : 'is new'}`),
      ...removed.map(({ name }) => `sink ${name} is gone`),
    ];
  };

  /** One change after the other, and none while they close. */
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const done = last.then(work);
    last = done.catch(() => undefined);
    return done;
  };
  return {
    queues: () => members.map(({ queue }) => queue),
    counts: () => ({
      ...Object.fromEntries(gone),
      ...Object.fromEntries(
        members.map(({ name, queue }) => [name, addDeliveryCounts(gone.get(name), queue.counts())]),
      ),
    }),
    health: () =>
      Object.fromEntries(
        members.map(({ name, queue }) => {
          const trouble = queue.trouble();
          return [name, { ...queue.counts(), ...(trouble !== undefined && { trouble }) }];
        }),
      ),
    change: (sinks) => inTurn(() => change(sinks)),
    drain: () =>
      inTurn(async () => {
        await Promise.all(members.map(({ queue }) => queue.drain()));
      }),
    close: () => inTurn(() => closeSinks(members, notice)),
  };
};
