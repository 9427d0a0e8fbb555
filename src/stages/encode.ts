import { concatMap, finalize, type OperatorFunction } from 'rxjs';
import { LARGEST_BATCH, type Runner, type SeriesInput } from '../forecaster/programs.js';
import { FrameError } from '../pipeline/errors.js';
import { fit, fittedShape } from '../pipeline/fit.js';
import type { Normalisation } from '../pipeline/forecast.js';
import { describeShape, type Frame, type FrameShape } from '../pipeline/frame.js';
import {
  between,
  bridged,
  bytesOf,
  isUnbroken,
  lastStretch,
  LONGEST_BRIDGE,
  release,
  type Lane,
  type Segment,
  type Step,
} from '../pipeline/state/lanes.js';
import { filled, patched } from '../pipeline/intake/gaps.js';
import { normalise, type KnownRanges } from '../pipeline/intake/normalisation.js';
import { SEGMENT_LENGTH, segmentOf, segmentsAt } from '../pipeline/state/segments.js';
import type { SeriesMemory } from '../pipeline/state/series-memory.js';
import { createWarmUp, describeRange } from '../pipeline/state/warm-up.js';
import type { Batched, Encoded } from '../pipeline/in-flight.js';
import { tellOnce } from '../pipeline/tell-once.js';

export interface EncodeOptions extends KnownRanges {
  readonly runner: Runner;
  readonly memory: SeriesMemory;
  /** Frame pixels per latent pixel. */
  readonly latentStride: number;
  readonly context: number;
  /** Frames of the series per step of the network. */
  readonly stride: number;
  readonly forecastEvery: number;
  readonly policy: 'every' | 'latest';
  /** Most bytes of states and frames to keep; series that were not seen for longest are rebuilt when they go on. */
  readonly stateBytes: number;
  /**
   * False while it rehearses beside stages that are in use: it changes nothing that they share, and each frame is given a
   * forecast, so that what that takes is ready. Default: it is in use.
   */
  readonly isInUse?: () => boolean;
  /** Bytes of frames to rebuild states from that are gathered before the network takes them in; default: 256 MiB. */
  readonly gatherBytes?: number;
}

/** Frames that go through the network into one state. */
interface Job {
  readonly segment: Segment;
  readonly frames: Float32Array[];
  readonly parameters: Frame['parameters'];
}

/** A frame of the series at its step. */
interface Seen extends Step {
  readonly frame: Frame;
}

/** Normalised values beyond these are clipped in roll-outs. */
const WIDEST = [-0.5, 1.5] as const;

/** The frame one step before, between the last one that came and this one where some are missing. */
const stepBefore = (now: Float32Array, step: number, last: Step): Float32Array =>
  step - last.step === 1 ? last.data : between(now, last.data, 1 / (step - last.step));

/** Some value is outside of the range, or NaN. */
const leaves = (data: Float32Array, [low, high]: readonly [number, number]): boolean => {
  for (let k = 0; k < data.length; k++) if (!(data[k]! >= low && data[k]! <= high)) return true;
  return false;
};

/**
 * Takes each frame into the recurrent state of its series: normalise, encode, one step. Batches go through the network
 * together. The first `context` frames of a series fix its normalisation and are taken in when they are complete.
 * State lives here, per series; it is a function of the frames of the current stretch (pipeline/segments.ts), so that
 * after a restart it is rebuilt from those frames and later forecasts are the same.
 */
export const encode = (
  options: EncodeOptions,
): OperatorFunction<readonly Batched<Frame>[], readonly Encoded[]> => {
  const { runner, memory, context, stride, latentStride } = options;
  const { gatherBytes = 2 ** 28, isInUse = () => true } = options;
  const segmentOptions = { context, length: SEGMENT_LENGTH };
  const lanes = new Map<string, Lane>();

  const laneName = (series: string, position: number): string => `${position % stride}:${series}`;
  const once = tellOnce((message) => memory.notice(message));
  const tell: typeof once = (about, message) => {
    if (isInUse()) once(about, message);
  };
  /** Where the network clips: a series that goes there cannot be forecast well. */
  const checkRange = ({ series, index }: Frame, data: Float32Array, normalisation: Normalisation): void =>
    tell(series, () =>
      leaves(data, WIDEST)
        ? `${series}: frame ${index} has values far outside of ${describeRange(normalisation)}, ${options.range === undefined ? 'the range of the first frames' : 'the range that was given'}: forecasts will be poor; give a wider --range, and another state folder`
        : undefined,
    );
  const warmUp = createWarmUp({ ...options, isInUse, tell });
  const toNetwork = (frame: Frame, normalisation: Normalisation): Float32Array =>
    fit(normalise(filled(frame.data, frame.shape), normalisation), frame.shape, latentStride);

  /** Runs frames through the state of several segments at once, round by round. */
  const takeIn = async (shape: FrameShape, jobs: readonly Job[]): Promise<void> => {
    const rounds = Math.max(0, ...jobs.map(({ frames }) => frames.length));
    for (let round = 0; round < rounds; round++) {
      const active = jobs.filter(({ frames }) => round < frames.length);
      for (let k = 0; k < active.length; k += LARGEST_BATCH) {
        const part = active.slice(k, k + LARGEST_BATCH);
        const inputs = part.map(({ segment, frames, parameters }): SeriesInput => {
          const frame = frames[round] as Float32Array;
          return { frame, previous: segment.last ?? frame, state: segment.state, parameters };
        });
        const states = await runner.observe(fittedShape(shape, latentStride), inputs);
        part.forEach(({ segment, frames }, at) => {
          release(segment.state);
          segment.state = states[at];
          segment.before = segment.last ?? frames[round];
          segment.last = frames[round];
        });
      }
    }
  };

  const forget = (name: string): void => {
    for (const segment of lanes.get(name)?.segments.values() ?? []) release(segment.state);
    lanes.delete(name);
  };

  /** Frames of a series before one that has this step in its lane, those of the lane. */
  const stepsBefore = (
    frames: readonly Frame[],
    { position }: Frame,
    step: number,
    normalisation: Normalisation,
  ): Seen[] =>
    frames
      .filter((old) => old.position < position && (position - old.position) % stride === 0)
      .map((old) => ({
        step: step - (position - old.position) / stride,
        data: toNetwork(old, normalisation),
        frame: old,
      }));

  /** A lane that is not in memory: at the start of its series, or after a restart with the frames that it stands on. */
  const openLane = async (
    frame: Frame,
    step: number,
    normalisation: Normalisation,
    before: readonly Frame[] | undefined,
  ) => {
    const { series, position } = frame;
    const from = segmentOf(step, segmentOptions);
    // A few more than the stretch itself: its first frame may be missing, and bridged from the one before.
    const first = position - Math.min(step, step - from + LONGEST_BRIDGE + 1) * stride;
    const earlier = step === 0 ? [] : (before ?? (await memory.recall(series, first, position - 1, stride)));
    const known = stepsBefore(
      earlier.filter((old) => old.position >= first),
      frame,
      step,
      normalisation,
    );
    const last = known.at(-1);
    const lane: Lane = {
      origin: memory.origin(series, position),
      step: from - 1,
      segments: new Map(),
      lastFrame: last?.data,
      lastRaw: last && { step: last.step, data: last.frame.data },
    };
    return { lane, known, from };
  };

  /** What has to go through the network for this frame, and the lane it goes to. */
  const plan = async (frame: Frame, normalisation: Normalisation, before: readonly Frame[] | undefined) => {
    const { series, position } = frame;
    const name = laneName(series, position);
    const ownData = toNetwork(frame, normalisation);
    const now = (): Seen => ({
      step: Math.floor((position - memory.origin(series, position)) / stride),
      data: ownData,
      frame,
    });

    let lane = lanes.get(name);
    if (lane !== undefined && lane.origin !== memory.origin(series, position)) {
      forget(name); // an earlier run began anew here
      lane = undefined;
    }
    const taken = lane?.step;
    /** Begins the series anew, with the frames since the last of them that cannot be had. */
    const startAnew = (seen: readonly Seen[]): void => {
      const stretch = lastStretch(seen);
      const [first] = stretch as [Seen];
      const before = seen.at(-stretch.length - 1)?.step ?? taken;
      const why =
        before === undefined
          ? 'frames that its state stands on are gone'
          : `${first.step - before - 1} frames are missing`;
      // The stages in use may have what this one lacks.
      if (!isInUse()) throw new FrameError(`${series}: ${why}`);
      memory.notice(`${series}: ${why}; warming up anew from frame ${first.frame.index}`);
      memory.setOrigin(series, first.frame.position);
      for (let phase = 0; phase < stride; phase++) forget(`${phase}:${series}`);
    };

    let known: Step[] = lane?.lastFrame === undefined ? [] : [{ step: lane.step, data: lane.lastFrame }];
    let from = lane === undefined ? 0 : lane.step;
    const between = lane === undefined ? 0 : now().step - lane.step - 1;
    if (lane !== undefined && lane.step < segmentOf(now().step, segmentOptions) - LONGEST_BRIDGE - 1) {
      forget(name); // nothing of it is used any more, nor bridged from
      lane = undefined;
    }
    if (lane !== undefined && between > 0) {
      // Frames that another forecaster took in, while this one was made ready to follow it; or they are missing.
      const recalled = await memory.recall(series, position - between * stride, position - 1, stride);
      const steps = stepsBefore(recalled, frame, now().step, normalisation);
      known = [...known, ...steps];
      const last = steps.at(-1);
      if (last !== undefined) lane.lastRaw = { step: last.step, data: last.frame.data };
      if (!isUnbroken([...known, now()], from)) {
        startAnew([...steps, now()]);
        lane = undefined;
      }
    }
    if (lane === undefined) {
      const open = () => openLane(frame, now().step, normalisation, before);
      let opened = await open();
      const seen = [...opened.known, now()].filter(({ step }) => step >= opened.from);
      if (!isUnbroken(seen, opened.from)) {
        startAnew(seen);
        opened = await open();
      }
      ({ lane, known, from } = opened);
    }
    lanes.delete(name);
    lanes.set(name, lane); // the last: it was used last
    const jobs = new Map<number, Job>();
    const last = lane.step;
    const { step, data } = now();
    for (const taken of bridged([...known, { step, data }]).filter((frame) => frame.step > last)) {
      for (const start of segmentsAt(taken.step, segmentOptions).filter(
        (first) => first >= segmentOf(step, segmentOptions),
      )) {
        const segment = lane.segments.get(start) ?? { state: undefined, last: undefined, before: undefined };
        lane.segments.set(start, segment);
        const job = jobs.get(start) ?? { segment, frames: [], parameters: frame.parameters };
        jobs.set(start, job);
        job.frames.push(taken.data);
      }
    }
    return { name, lane, step, data, jobs: [...jobs.values()] };
  };

  /** A frame may go into two stretches: it is there once. */
  const bytesToTakeIn = (jobs: readonly Job[]): number =>
    [...new Set(jobs.flatMap(({ frames }) => frames))].reduce((sum, { byteLength }) => sum + byteLength, 0);
  /**
   * Forgets frames of series that warm up, then lanes, until the rest fits, those first that were not used for longest; lanes in
   * `used` stay. All of it is read again from disk when it is needed.
   */
  const evict = (used: ReadonlySet<string>): void => {
    let bytes = [...lanes.values()].reduce((sum, lane) => sum + bytesOf(lane), 0);
    bytes += warmUp.forget(options.stateBytes - bytes);
    for (const [name, lane] of lanes) {
      if (bytes <= options.stateBytes) return;
      if (used.has(name)) continue;
      bytes -= bytesOf(lane);
      forget(name);
    }
  };

  const encodeBatch = async (batch: readonly Batched<Frame>[]): Promise<readonly Encoded[]> => {
    const { shape } = (batch[0] as Batched<Frame>).item;
    const plans = [];
    let gathered: Job[] = [];
    for (const { item: frame, newest } of batch) {
      const { normalisation, before } = await warmUp.of(frame);
      const planned = normalisation && (await plan(frame, normalisation, before));
      gathered.push(...(planned?.jobs ?? []));
      plans.push({ frame, newest, normalisation, plan: planned && { ...planned, jobs: undefined } });
      // After a restart each series brings the frames of its whole stretch along: they go as soon as they are taken in.
      if (bytesToTakeIn(gathered) <= gatherBytes) continue;
      await takeIn(shape, gathered);
      gathered = [];
    }
    await takeIn(shape, gathered);
    const encoded = plans.map(({ frame, newest, normalisation, plan: done }): Encoded => {
      if (done === undefined || normalisation === undefined) return { frame, outcome: 'warm-up' };
      const { lane, step, data } = done;
      checkRange(frame, data, normalisation);
      const current = segmentOf(step, segmentOptions);
      const previous = lane.lastRaw && stepBefore(frame.data, step, lane.lastRaw);
      lane.step = step;
      lane.lastFrame = data;
      lane.lastRaw = { step, data: frame.data };
      const wanted = segmentsAt(step, segmentOptions);
      const segment = lane.segments.get(current);
      for (const [start, old] of lane.segments) {
        if (wanted.includes(start)) continue;
        release(old.state);
        lane.segments.delete(start);
      }
      if (step < context - 1 || segment?.state === undefined)
        return { frame, outcome: 'warm-up', normalisation };
      const due =
        !isInUse() ||
        ((frame.position + 1 - context) % options.forecastEvery === 0 &&
          (options.policy === 'every' || newest));
      if (!due) return { frame, outcome: 'observed', normalisation };
      return {
        frame,
        outcome: 'forecast',
        normalisation,
        previous: patched(previous ?? frame.data, frame.data),
        input: {
          frame: data,
          previous: segment.before ?? data,
          state: segment.state.map((handle) => handle.retain()),
          parameters: frame.parameters,
        },
      };
    });
    evict(new Set(plans.flatMap(({ plan: done }) => done?.name ?? [])));
    return encoded;
  };

  return (source$) =>
    source$.pipe(
      concatMap(encodeBatch),
      finalize(() => {
        for (const name of [...lanes.keys()]) forget(name);
        warmUp.clear();
      }),
    );
};

/** Key by which frames can share a batch. */
export const networkShape = (frame: Frame): string => describeShape(frame.shape);
