import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { openEngine, type Engine } from '../../src/engine/index.js';
import { loadForecaster } from '../../src/forecaster/folder.js';
import { createLearner, type Learner } from '../../src/learning/learner/learner.js';
import type { FromLearner, LearnerSetup } from '../../src/learning/learner/messages.js';
import { loadCheckpoint } from '../../src/training/checkpoint.js';
import { canLearn, openStudy, optionsFor } from '../../src/learning/learner/study.js';
import { createReplay, type Replay } from '../../src/learning/learner/replay.js';
import type { ParameterValues } from '../../src/pipeline/parameters.js';
import { saveTiny } from '../support/tiny.js';

let home: string;
let engine: Engine;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-learner-'));
  engine = await openEngine('cpu', 1);
});
afterAll(async () => {
  await engine.dispose();
  await rm(home, { recursive: true });
});

/** A wave that oscillates: linear extrapolation overshoots, and what it does is a small step to learn. */
const frame = (t: number): Float32Array =>
  Float32Array.from({ length: 256 }, (_, k) => {
    const [row, column] = [Math.floor(k / 16), k % 16];
    return 0.5 + 0.4 * Math.sin((2 * Math.PI * (row + column)) / 16 + 0.4 * t);
  });
const fill = (replay: Replay, from: number, to: number, parameters?: ParameterValues): void => {
  for (let t = from; t < to; t++) replay.add('a', t, [16, 16, 1], { low: 0, high: 1 }, frame(t), parameters);
};
const fillStill = (replay: Replay, to: number): void => {
  for (let t = 0; t < to; t++) replay.add('a', t, [16, 16, 1], { low: 0, high: 1 }, frame(0));
};

const open = async (folder: string, more: Partial<LearnerSetup> = {}) => {
  const said: FromLearner[] = [];
  const replay = createReplay({ bytes: 1e8, stride: 1 });
  const setup: LearnerSetup = {
    ...{ folder, learn: 'scratch', candidates: [], champion: undefined, start: undefined },
    ...{
      rolledBack: false,
      channels: 1,
      codecs: {},
      preparation: {},
      stride: 1,
      horizon: 10,
      budget: 1,
      bytes: 1e8,
      seed: 1,
    },
    ...more,
  };
  // A clock that stands still: judging takes no time, and what is done when depends on nothing else.
  const learner = await createLearner({
    setup,
    engine,
    replay,
    tell: (message) => said.push(message),
    now: () => 0,
  });
  return { learner, replay, said };
};
const turns = async (learner: Learner, most: number, until: () => boolean): Promise<void> => {
  for (let k = 0; k < most && !until(); k++) await learner.turn();
};
const curve = async (
  folder: string,
): Promise<{ steps: number; relativeError: number; champion?: number }[]> =>
  (await readFile(join(folder, 'curve.jsonl'), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { steps: number; relativeError: number; champion?: number });

/** Folder of the first version of a learner that begins from nothing. */
const learnedIn = async (name: string): Promise<string> => {
  const { learner, replay, said } = await open(join(home, name));
  fill(replay, 0, 40);
  await turns(learner, 800, () => said.length > 0);
  const [first] = said;
  if (first?.type !== 'challenger') throw new Error(`it said ${JSON.stringify(first)}`);
  return first.folder;
};

test('it waits for frames, learns, and offers what is better on frames that it has not learned from', async () => {
  const folder = join(home, 'learns');
  // Where nothing that ships fits, to adapt is to learn from nothing.
  const { learner, replay, said } = await open(folder, { learn: 'adapt' });
  fill(replay, 0, 15);
  expect(await learner.turn()).toBe(false);
  fill(replay, 15, 40);
  await turns(learner, 800, () => said.length > 0);
  const [challenger] = said;
  if (challenger?.type !== 'challenger') throw new Error(`it said ${JSON.stringify(challenger)}`);
  const { evidence, scores } = challenger;
  expect(evidence.rmse).toBeLessThan(Math.min(evidence.persistence, evidence.linear));
  const apart = scores.filter(({ lead }) => lead <= evidence.leads);
  expect(apart).toHaveLength(evidence.windows * evidence.leads);
  // Beyond, three windows over all frames say how it does, up to the horizon.
  expect(evidence.leads).toBeLessThan(10);
  expect(scores.filter(({ lead }) => lead > evidence.leads)).toHaveLength(3 * (10 - evidence.leads));
  // It was not judged before it had been rolled out far, and was tried as far as the frames kept apart go.
  expect((await curve(folder))[0]?.steps).toBe(400);
  expect(challenger.tried).toBe(evidence.leads);
  const { settings } = await loadForecaster(challenger.folder);
  expect(settings).toMatchObject({ name: 'learned', boundary: 'periodic', channels: 1 });

  // Twelve frames on, forecasts of the first version were verified up to twelve leads.
  fill(replay, 40, 52);
  await turns(learner, 800, () => said.length > 1);
  expect(said[1]).toMatchObject({ type: 'challenger', tried: 12 });

  // Another process goes on from there, not from nothing.
  const steps = (await curve(folder)).at(-1)?.steps ?? 0;
  const again = await open(folder, { learn: 'adapt', champion: challenger.folder });
  fill(again.replay, 0, 40);
  // Also when by now the frames would ask for another network.
  for (let t = 40; t < 200; t++)
    again.replay.add('a', t, [16, 16, 1], { low: 0, high: 1 }, frame(40 + 0.01 * (t - 40)));
  await turns(again.learner, 1 + 40, () => false);
  expect((await curve(folder)).at(-1)?.steps).toBe(steps + 40);
});

test('steps before the first judgement are kept; a checkpoint that the system cannot read is not begun anew over', async () => {
  const folder = join(home, 'kept');
  const { learner, replay } = await open(folder);
  fill(replay, 0, 40);
  await turns(learner, 100, () => false);
  expect((await loadCheckpoint(folder))?.iteration).toBe(80);
  const again = await open(folder);
  fill(again.replay, 0, 40);
  await turns(again.learner, 41, () => false);
  expect((await loadCheckpoint(folder))?.iteration).toBe(120);
  // With other symmetries it is another beginning.
  const other = await open(folder, { symmetries: 'none' });
  fill(other.replay, 0, 40);
  await turns(other.learner, 41, () => false);
  expect((await loadCheckpoint(folder))?.iteration).toBe(40);

  // Of which all is what none given means.
  const symmetriesIn = async (): Promise<unknown> => {
    const [options] = JSON.parse((await loadCheckpoint(folder))?.settings ?? '') as [string];
    return (JSON.parse(options) as Record<string, unknown>)['symmetries'];
  };
  expect(await symmetriesIn()).toBe('none');
  const all = await open(folder, { symmetries: 'all' });
  fill(all.replay, 0, 40);
  await turns(all.learner, 41, () => false);
  const unsaid = await open(folder);
  fill(unsaid.replay, 0, 40);
  await turns(unsaid.learner, 41, () => false);
  expect((await loadCheckpoint(folder))?.iteration).toBe(80);
  // Learning from nothing takes those of the forecaster that it is beside.
  const upright = join(home, 'upright');
  await saveTiny(upright, 1, 10, { symmetries: 'left-right' });
  const beside = await open(folder, { start: upright });
  fill(beside.replay, 0, 40);
  await turns(beside.learner, 41, () => false);
  expect(await symmetriesIn()).toBe('left-right');

  const unreadable = await open(join(home, 'unreadable'));
  await mkdir(join(home, 'unreadable', 'checkpoint.safetensors'), { recursive: true });
  fill(unreadable.replay, 0, 40);
  await expect(unreadable.learner.turn()).rejects.toThrow('EISDIR');
});

test('what is learned from nothing takes the place of a forecaster of another making after a trial', async () => {
  const made = await learnedIn('other');
  const folder = join(home, 'trial');
  const { learner, replay, said } = await open(folder, { champion: made, tried: 40 });
  fill(replay, 0, 40);
  await turns(learner, 700, () => said.length > 0);
  // However much better it has become: frames that are further from those that it has learned from have yet to come.
  const { relativeError, champion } = (await curve(folder)).at(-1)!;
  expect(relativeError).toBeLessThan(0.8 * champion!);
  expect(said).toEqual([]);
  fill(replay, 40, 46);
  await turns(learner, 50, () => said.length > 0);
  expect(said).toMatchObject([{ type: 'challenger', over: made }]);
  // What was begun anew was tried at no more than this, whatever the one in use was.
  const [challenger] = said;
  if (challenger?.type !== 'challenger') throw new Error('it made no offer');
  expect(challenger.tried).toBe(challenger.evidence.leads);
});

test('it rests when nothing gets better, until the run changes', async () => {
  const { learner, replay } = await open(join(home, 'rests'));
  // Small frames: it takes hundreds of steps.
  const still = frame(0).slice(0, 64);
  for (let t = 0; t < 30; t++) replay.add('a', t, [8, 8, 1], { low: 0, high: 1 }, still);
  const judgements = 1 + 24; // the first one is the best
  const most = 400 + 40 * (judgements - 1) + judgements;
  let worked = 0;
  while (worked <= most && (await learner.turn())) worked++;
  expect(worked).toBe(most);
  learner.wake();
  expect(await learner.turn()).toBe(true);

  // One that was gone back to is not challenged before there are a quarter more frames.
  learner.setChampion(undefined, true);
  expect(await learner.turn()).toBe(false);
  for (let t = 30; t < 38; t++) replay.add('a', t, [8, 8, 1], { low: 0, high: 1 }, still);
  expect(await learner.turn()).toBe(true);
});

test('what goes astray begins anew, twice, and is then given up', async () => {
  const { learner, replay, said } = await open(join(home, 'astray'));
  // Errors as large as these overflow.
  for (let t = 0; t < 30; t++)
    replay.add(
      'a',
      t,
      [16, 16, 1],
      { low: 0, high: 1 },
      frame(t).map((value) => value * 1e30),
    );
  await turns(learner, 50, () => said.length === 3);
  expect(said).toEqual([
    { type: 'notice', message: 'learning went astray: it begins anew' },
    { type: 'notice', message: 'learning went astray: it begins anew' },
    { type: 'notice', message: 'learning went astray: it is given up until mesocast is started again' },
  ]);
  expect(await learner.turn()).toBe(false);
});

test('a forecaster whose predictor has no weights is not gone on from', async () => {
  expect(canLearn(await loadForecaster('plane_wave'))).toBe(false);
  expect(canLearn(await loadForecaster('dendrite'))).toBe(true);
});

test('of forecasters to choose from none is taken that is worse than doing without', async () => {
  const [folder, tiny] = [join(home, 'chooses'), join(home, 'tiny')];
  await saveTiny(tiny, 1, 10);
  const { learner, replay, said } = await open(folder, { learn: 'choose', candidates: [tiny] });
  fill(replay, 0, 30);
  expect(await learner.turn()).toBe(true);
  expect(said).toEqual([{ type: 'notice', message: expect.stringMatching(/^no forecaster .* tiny \d/) }]);
  expect(await learner.turn()).toBe(false);
});

test('learning from nothing, of forecasters to choose from only those without weights are tried', async () => {
  const [folder, tiny] = [join(home, 'nothing'), join(home, 'tiny')];
  await saveTiny(tiny, 1, 10);
  const { learner, replay, said } = await open(folder, { candidates: ['plane_wave', tiny] });
  fill(replay, 0, 16); // as soon as there are enough: `plane_wave` needs more than 8 of them as context
  expect(await learner.turn()).toBe(true);
  expect(said).toEqual([
    expect.objectContaining({ folder: 'plane_wave', why: expect.stringMatching(/: plane_wave 0\.\d\d$/) }),
  ]);
});

test('a forecaster that is told scalars of a run goes on learning from runs of which they are known', async () => {
  const told = join(home, 'told');
  await saveTiny(told, 1, 1, { parameters: [{ name: 'drive', low: 0, high: 1 }] });
  const begin = (name: string) => open(join(home, name), { learn: 'adapt', champion: told, start: told });
  const known = await begin('known');
  fill(known.replay, 0, 30, { drive: 0.5 });
  expect(await known.learner.turn()).toBe(true);
  await turns(known.learner, 20, () => false);
  expect((await curve(join(home, 'known'))).at(-1)?.steps).toBe(20);
  const unknown = await begin('unknown');
  fill(unknown.replay, 0, 30);
  expect(await unknown.learner.turn()).toBe(false);
});

test('what was begun from nothing while none fitted gives way to what goes on from the one that fits later', async () => {
  const before = await open(join(home, 'fits-later-before'));
  fill(before.replay, 0, 60);
  await turns(before.learner, 1500, () => before.said.length > 2);
  const fits = before.said.flatMap((message) => ('folder' in message ? [message.folder] : [])).at(-1)!;

  const folder = join(home, 'fits-later');
  const { learner, replay, said } = await open(folder, { learn: 'adapt', candidates: [fits] });
  fillStill(replay, 16); // nothing is better there than the last frame
  await turns(learner, 1 + 40 + 1 + 30, () => false); // tried as it is, and after 40 steps; 30 from nothing
  expect(said).toMatchObject([
    { message: expect.stringMatching(/^no forecaster /) },
    { message: expect.stringMatching(/^learning begins from nothing: .*: learned \d+\.\d\d$/) },
  ]);
  fill(replay, 16, 64);
  expect(await learner.turn()).toBe(true);
  expect(said.at(-1)).toMatchObject({ type: 'challenger', folder: fits });
  await turns(learner, 1 + 20, () => false);
  expect((await curve(folder)).map(({ steps }) => steps)).toEqual([20]);
});

test('forecasters that do not fit are tried again when there are twice as many frames, until one was gone back from', async () => {
  const noisy = join(home, 'noisy');
  await saveTiny(noisy, 1, 50);
  const folder = join(home, 'tries');
  const { learner, replay, said } = await open(folder, { learn: 'choose', candidates: [noisy] });
  const tried: number[] = [];
  for (let t = 0; t < 40; t++) {
    fill(replay, t, t + 1);
    while (await learner.turn());
    if (said.splice(0).length > 0) tried.push(t + 1);
  }
  expect(tried).toEqual([16, 32]);
  expect(learner.isDone).toBe(false);
  learner.setChampion(undefined, true);
  fill(replay, 40, 80);
  while (await learner.turn());
  expect([said, learner.isDone]).toEqual([[], true]);
});

test('what is learned takes the place of nothing that could not be read, and says so once', async () => {
  const gone = join(home, 'gone');
  const { learner, replay, said } = await open(join(home, 'unread'), { champion: gone });
  fill(replay, 0, 40);
  await turns(learner, 500, () => said.length > 1);
  expect(await readdir(join(home, 'unread'))).toContain('checkpoint.safetensors'); // it was judged
  expect(said).toEqual([
    { type: 'notice', message: expect.stringMatching(/^what is learned cannot be compared with .*gone/) },
  ]);
});

test('where none fits as it is, learning goes on from the one of those that ship that learns best', async () => {
  const [folder, tiny, learned] = [
    join(home, 'begins'),
    join(home, 'begins-tiny'),
    await learnedIn('learned'),
  ];
  await saveTiny(tiny, 1, 10);
  const more = { learn: 'adapt', candidates: ['plane_wave', tiny, learned] } as const;
  const { learner, replay, said } = await open(folder, more);
  fillStill(replay, 16);
  await learner.turn();
  expect(said.splice(0)).toMatchObject([{ message: expect.stringMatching(/^no forecaster /) }]);
  fill(replay, 16, 31); // one fewer than that they are tried again as they are
  await turns(learner, 200, () => said.length > 0);
  // What it has learned by then is judged at once.
  expect(said).toMatchObject([
    {
      message: expect.stringMatching(/^learning begins from learned: .*: tiny \d+\.\d\d, learned 0\.\d\d$/),
    },
    { type: 'challenger', over: undefined },
  ]);
  expect((await curve(folder)).map(({ steps }) => steps)).toEqual([40]);

  // Another process goes on with it, and tries none.
  const again = await open(folder, { ...more, champion: learned });
  fillStill(again.replay, 16);
  fill(again.replay, 16, 31);
  await turns(again.learner, 1 + 20, () => false);
  expect((await curve(folder)).at(-1)?.steps).toBe(60);
  expect(again.said.filter(({ type }) => type === 'notice')).toEqual([]);
});

test('where none of those that ship beats the trend after what it has learned, learning begins from nothing', async () => {
  const [folder, tiny] = [join(home, 'none-learns'), join(home, 'none-learns-tiny')];
  await saveTiny(tiny, 1, 10, { context: 10 });
  const more = { learn: 'adapt', candidates: [tiny] } as const;
  const { learner, replay, said } = await open(folder, more);
  fill(replay, 0, 16);
  // It has a context of ten frames, of which too few have come yet: it is waited for.
  while (await learner.turn());
  expect(said.splice(0)).toMatchObject([{ message: expect.stringMatching(/^no forecaster /) }]);
  fill(replay, 16, 30);
  await turns(learner, 100, () => said.length > 0);
  expect(said).toMatchObject([
    { message: expect.stringMatching(/^learning begins from nothing: .*: tiny \d+\.\d\d$/) },
  ]);
  await turns(learner, 41, () => false);
  const from = async (): Promise<unknown> =>
    (JSON.parse((await loadCheckpoint(folder))!.settings) as unknown[])[1];
  expect(await from()).toBeNull();
  // Another process does not try it again.
  const again = await open(folder, more);
  fill(again.replay, 0, 30);
  await turns(again.learner, 45, () => false);
  expect(await from()).toBeNull();
  expect((await loadCheckpoint(folder))!.iteration).toBe(80);
});

test('parts of large frames are as large as the network divides', async () => {
  const replay = createReplay({ bytes: 1e8, stride: 1 });
  const shape = [72, 72, 1] as const;
  const range = { low: 0, high: 1 };
  for (let t = 0; t < 14; t++)
    replay.add(
      ...(['a', t, shape, range] as const),
      Float32Array.from({ length: 72 * 72 }, (_, k) => 0.5 + 0.4 * Math.sin(k / 9 + 0.4 * t)),
    );
  const [series] = replay.training();
  const folder = join(home, 'parts');
  await mkdir(folder);
  const fresh = {
    ...optionsFor(series!, 1),
    ...{ crop: 66, encoderOptions: { patch: 4 }, predictorOptions: { blocks: 1, channels: 4 } },
  };
  const study = await openStudy({ engine, replay, folder, stride: 1, from: undefined, fresh });
  expect(await study.step()).toBeGreaterThan(0);
  await study.dispose();
});
