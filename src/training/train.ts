import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { appendFile, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openEngine, type Named } from '../engine/index.js';
import { buildNetwork, initialWeights, sealedStages, withWeights } from '../forecaster/forecaster.js';
import { loadForecaster, saveForecaster, SETTINGS } from '../forecaster/folder.js';
import { createRunner } from '../forecaster/programs.js';
import type { Network } from '../forecaster/network-functions.js';
import type { Weight } from '../forecaster/safetensors.js';
import { isTemporary, writeAtomically } from '../pipeline/atomic.js';
import { messageOf, StartupError, UsageError } from '../pipeline/errors.js';
import { loadCheckpoint, saveCheckpoint, type Checkpoint, type Progress } from './checkpoint.js';
import { clipsFrom, divided } from './clips.js';
import { divide, gather, withParameterRanges } from './data.js';
import { averaged, initialSlots, optimiser } from './optimiser.js';
import {
  rangedParameters,
  anchored,
  identityAgain,
  identityOf,
  refined,
  settingsOf,
  withBase,
  type TrainEvent,
  type TrainOptions,
  type TrainResult,
} from './options.js';
import { leadsAt } from './schedule.js';
import { scoreSeries, skills } from './score-series.js';
import { longestStretch, type Series } from './series.js';

/** The validation curve: a line of JSON for each validation, skill per lead and its mean. */
const CURVE = 'validation.jsonl';

/** Takes away what a kill may have left in OUT: halves of files, and validations that will be made again. */
const tidy = async (out: string, iteration: number): Promise<void> => {
  for (const name of await readdir(out)) if (isTemporary(name)) await rm(join(out, name), { force: true });
  const curve = join(out, CURVE);
  const text = iteration === 0 ? '' : await readFile(curve, 'utf8').catch(() => '');
  const known = text.split('\n').filter((line) => {
    const at = Number(/^\{"iteration":(\d+),.*\}$/.exec(line)?.[1]);
    return at <= iteration; // not so for half a line
  });
  if (known.length === 0) await rm(curve, { force: true });
  else await writeAtomically(curve, Buffer.from(known.map((line) => `${line}\n`).join('')));
};

/**
 * What a training begins in must hold no forecaster, but for the first that this training has saved: a kill may have come
 * before its checkpoint. @throws UsageError
 */
const requireFree = async (options: TrainOptions, identity: string): Promise<void> => {
  const { out, validateEvery } = options;
  if (!existsSync(join(out, SETTINGS))) return;
  const found = await loadForecaster(out).catch(() => undefined);
  const { iterations = Infinity, options: before } = found?.settings.training ?? {};
  const isOwn = before !== undefined && identityAgain(JSON.stringify(before)) === identity;
  if (isOwn && Number(iterations) <= validateEvery) return;
  throw new UsageError(`${out} has a forecaster and no checkpoint to go on from`, {
    hint: `give another --out, with --from ${out} to go on from its weights, or --fresh to replace it`,
  });
};

/** OUT's checkpoint, if this training can go on from it. Makes OUT. */
const takeUp = async (
  options: TrainOptions,
  network: Network,
  identity: string,
): Promise<Checkpoint | undefined> => {
  const { out, fresh } = options;
  await mkdir(out, { recursive: true }).catch((cause: unknown) => {
    throw new StartupError(`cannot write to ${out}: ${messageOf(cause)}`, { cause });
  });
  if (fresh) return undefined;
  const checkpoint = await loadCheckpoint(out);
  if (checkpoint === undefined) {
    await requireFree(options, identity);
    return undefined;
  }
  const other = (why: string): UsageError =>
    new UsageError(`${out} has a checkpoint of a training with ${why}`, {
      hint: 'give the same options to go on with it, --fresh to begin anew, or another --out',
    });
  if (identityAgain(checkpoint.settings) !== identity) throw other('other options');
  const shapesOf = (tensors: Named<Weight>): string =>
    JSON.stringify(
      Object.entries(tensors)
        .map(([name, { shape }]) => [name, ...shape])
        .sort(),
    );
  if (shapesOf(checkpoint.tensors) !== shapesOf(initialSlots(initialWeights(network, options.seed))))
    throw other('another network');
  return checkpoint;
};

const dataOf = (
  training: readonly Series[],
  validation: readonly Series[],
  { horizon, parameters: told }: TrainOptions,
) => {
  const facts = (all: readonly Series[]) =>
    all.map(({ name, shape, stretches, parameters = {} }) => [
      ...[name, shape, stretches],
      ...told.map((scalar) => parameters[scalar.name]),
    ]);
  const hash = (of: unknown): string => createHash('sha256').update(JSON.stringify(of)).digest('hex');
  return { training: hash(facts(training)), validation: hash([horizon, facts(validation)]) };
};

/** Later leads, the second half of the horizon, are what a forecast is hardest at and what short tests say little of. */
const judgedBy = ({ best, since }: Progress, skill: readonly number[]): Progress => {
  const later = skill.slice(Math.floor(skill.length / 2));
  const mean = later.reduce((a, b) => a + b, 0) / later.length;
  return best === null || mean > best ? { best: mean, since: 0 } : { best, since: since + 1 };
};

/**
 * Trains a forecaster and writes its folder, at every validation a usable one. Deterministic from the seed on one
 * device and number of threads; goes on from OUT's checkpoint if there is one. Aborting the signal ends it after the
 * step in progress, with a checkpoint; before the first step of a new training nothing is saved.
 * @throws UsageError for unusable options or data, for a checkpoint of other options, and for a forecaster in OUT that is
 * not of this training; StateError for a damaged checkpoint
 */
export const train = async (
  chosen: TrainOptions,
  emit: (event: TrainEvent) => void,
  signal: AbortSignal,
): Promise<TrainResult> => {
  const notice = (message: string): void => emit({ type: 'notice', message });
  // What can be wrong with the options is found before time is spent on the data.
  const base = chosen.from === undefined ? undefined : await loadForecaster(chosen.from);
  const asked = anchored(base === undefined ? chosen : withBase(chosen, refined(base.settings, chosen)));
  const network = await buildNetwork(settingsOf(asked, {}));
  if (sealedStages(network).length > 0)
    throw new UsageError('a stage that is an .onnx file cannot be trained', {
      hint: 'train it where it was made: attach, forecast and evaluate take it as it is (docs/onnx.md)',
    });
  if (base?.settings.feedback === 'latent')
    throw new UsageError('a forecaster that goes on from its latents cannot be trained further', {
      hint: 'training feeds frames back; attach, forecast and evaluate take it as it is',
    });
  if (base !== undefined) withWeights(settingsOf(asked, {}), network, base.weights); // they have to fit what was given anew
  const identity = identityOf(asked);
  const checkpoint = await takeUp(asked, network, identity);
  const brought = base?.settings.range;
  const ranges = { range: chosen.range, usual: brought === undefined ? [] : [brought] };
  const all = await gather(asked, ranges, notice, signal).catch((error: unknown) => {
    if (signal.aborted) return undefined;
    throw error;
  });
  if (all === undefined)
    return {
      ...{ out: asked.out, iterations: checkpoint?.iteration ?? 0, seconds: 0, skill: [], meanSkill: 0 },
      ...{ interrupted: true, context: asked.context, stride: asked.stride },
    };
  const options = withParameterRanges(asked, all, checkpoint?.parameters);
  const { training, validation } = divide(all, options, network.encoder.stride);
  const data = dataOf(training, validation, options);
  const before = checkpoint?.data ?? data;
  if (before.training !== data.training)
    notice('the series to learn from are not those of before: it goes on with those that are there now');
  const isJudgedAnew = before.validation !== data.validation;
  if (isJudgedAnew)
    notice(
      'validation is on other series, or of another horizon, than before: the best skill so far does not count',
    );
  if (checkpoint !== undefined) await tidy(options.out, checkpoint.iteration);
  const engine = await openEngine(options.device, options.threads, notice);
  try {
    const work = optimiser(engine, network, options);
    const weights = base?.weights ?? initialWeights(network, options.seed);
    await work.load(checkpoint?.tensors ?? initialSlots(weights));
    const first = checkpoint?.iteration ?? 0;
    notice(
      `${first > 0 ? `going on from step ${first} ` : ''}on ${engine.device}, ${training.length} series, ${validation.length} kept apart`,
    );

    const needed = options.context + options.horizon;
    if (validation.every((series) => longestStretch(series) < needed)) {
      notice(
        `the series kept apart have fewer than the ${needed} frames of context and horizon: there will be no validation (a smaller --horizon gives one)`,
      );
    }

    const started = performance.now();
    const seconds = (): number => (performance.now() - started) / 1000;
    let judged: { skill: number[]; meanSkill: number } = { skill: [], meanSkill: 0 };
    const unknown: Progress = { best: null, since: 0 };
    let progress = isJudgedAnew ? unknown : (checkpoint?.progress ?? unknown);
    const isSpent = (): boolean => options.patience !== undefined && progress.since >= options.patience;
    // Until it is judged by them, the checkpoint is of the series, and the best skill, of before.
    let validationOf = before.validation;
    const validate = async (tensors: Named<Weight>, iteration: number): Promise<boolean> => {
      const runner = createRunner(await averaged(tensors, settingsOf(options, {})), engine);
      const sums = await scoreSeries(runner, validation, {
        context: options.context,
        horizon: options.horizon,
        every: 10,
        latentStride: network.encoder.stride,
      });
      await runner.dispose();
      if (sums.windows === 0) return false;
      const skill = skills(sums);
      judged = { skill, meanSkill: skill.reduce((a, b) => a + b, 0) / skill.length };
      emit({ type: 'validation', iteration, ...judged });
      await appendFile(join(options.out, CURVE), `${JSON.stringify({ iteration, ...judged })}\n`);
      progress = judgedBy(progress, skill);
      validationOf = data.validation;
      return true;
    };
    let judgedAt = first;
    const judge = async (iteration: number): Promise<void> => {
      if (iteration === judgedAt) return;
      // What is in OUT stays until there is something to put in its place.
      if (judgedAt === 0) await tidy(options.out, 0);
      judgedAt = iteration;
      // Where training happens to be stopped, nothing is looked at that a training that goes through would not look at, and
      // who stops it does not wait for it.
      const counts = iteration % options.validateEvery === 0 || iteration === options.iterations;
      const tensors = await work.read();
      const isValidated = counts && (await validate(tensors, iteration));
      const isBest = counts
        ? progress.since === 0
        : progress.best === null && validationOf === data.validation;
      if (options.patience === undefined || isBest) {
        const record = {
          iterations: iteration,
          options: JSON.parse(identity) as unknown,
          ...(isValidated && { validation: judged }),
        };
        await saveForecaster(options.out, await averaged(tensors, settingsOf(options, record)));
      }
      // The checkpoint comes last: whatever a kill leaves undone before it is done again from the one before.
      await saveCheckpoint(options.out, {
        ...{ iteration, settings: identity, tensors },
        progress: validationOf === data.validation ? progress : (checkpoint?.progress ?? unknown),
        data: { ...data, validation: validationOf },
        parameters: rangedParameters(options),
      });
    };

    let iteration = first;
    for await (const clip of clipsFrom(training, divided(options, network.encoder.stride), first)) {
      if (signal.aborted || isSpent()) break;
      const loss = await work.step(clip, iteration);
      iteration++;
      const stepsPerSecond = (iteration - first) / seconds();
      const secondsLeft = (options.iterations - iteration) / stepsPerSecond;
      emit({
        type: 'step',
        iteration,
        iterations: options.iterations,
        leads: leadsAt(iteration - 1, options),
        loss,
        stepsPerSecond,
        secondsLeft,
      });
      if (!Number.isFinite(loss))
        throw new UsageError(`the loss became ${loss} at step ${iteration}`, { hint: 'lower --rate' });
      if (iteration % options.validateEvery === 0 && iteration < options.iterations && !signal.aborted)
        await judge(iteration);
    }
    if (isSpent())
      notice(
        `no better skill at the later leads in ${progress.since} validations: stopped; the best is kept`,
      );
    else await judge(iteration);
    // What is told is of the forecaster in OUT, which with `patience` is the best and not the last.
    if (iteration > 0 && (options.patience !== undefined || iteration === first)) {
      const { validation: kept = judged } = (await loadForecaster(options.out)).settings.training;
      judged = kept as typeof judged;
    }
    return {
      out: options.out,
      iterations: iteration,
      seconds: seconds(),
      ...judged,
      interrupted: iteration < options.iterations && !isSpent(),
      context: options.context,
      stride: options.stride,
    };
  } finally {
    await engine.dispose();
  }
};
