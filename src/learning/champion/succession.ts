import { rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { Subject, type Observable } from 'rxjs';
import type { Engine } from '../../engine/index.js';
import { EngineError, ForecasterError, FrameError, messageOf } from '../../pipeline/errors.js';
import { NO_FORECASTER } from '../../pipeline/forecast.js';
import type { Frame } from '../../pipeline/frame.js';
import type { Ledger } from '../../pipeline/ledger/ledger.js';
import { loadForecasterSet, type ForecasterSet } from '../../uncertainty/forecaster-set.js';
import type { Judge } from '../judging/judge.js';
import type { Offer } from '../learner/messages.js';
import type { LiveConfig } from '../modes.js';
import type { Upcoming } from './by-champion.js';
import { createChampions, type Champion } from './champions.js';
import { openHistory } from './history.js';
import { learningFolder } from './log.js';
import { openReigns } from './reigns.js';
import { askedRollback, forgetRollback } from './rollback.js';
import { removeLeftovers, versionsFolder } from './versions.js';
import { openVouchers } from './vouchers.js';

export interface SuccessionOptions {
  readonly config: Pick<LiveConfig, 'context' | 'horizon' | 'stride' | 'tile' | 'memoryFrames'>;
  /** Whether others may follow in this run; in one that learns nothing those of the run before do not stay in use. */
  readonly learns: boolean;
  /** The state folder. */
  readonly state: string;
  readonly ledger: Ledger;
  readonly engine: Engine;
  readonly judge: Pick<Judge, 'vouch'>;
  /** What the run was given, or `noForecaster()`. */
  readonly first: ForecasterSet;
  readonly notice: (message: string) => void;
  readonly now: () => Date;
  /** Called when another one makes the forecasts from now on. */
  readonly began: () => void;
}

/** Which forecaster makes the forecast of which frame, and how one follows another while a run goes on. */
export interface Succession {
  /** The forecaster of frames to come; `folder` is undefined for none at all. */
  readonly inUse: {
    readonly hash: string;
    readonly folder: string | undefined;
    readonly isRolledBack: boolean;
  };
  /** The furthest lead that the one in use was tried at, if it is a network from nothing. */
  triedAt(): number | undefined;
  /** Folder of what learning set out from: the forecaster that was given, or the first one that was chosen. */
  start(): string | undefined;
  /** Hash of the forecaster of a frame: frames of one batch agree in it. */
  readonly reignOf: (frame: Frame) => string;
  readonly championOf: (frames: readonly Frame[]) => Promise<Champion>;
  /** Whether a batch is under way. */
  readonly working: (isWorking: boolean) => void;
  /** No more batches come. */
  readonly end: () => void;
  /** Those that are to take over as soon as they are ready. */
  readonly upcoming$: Observable<Upcoming<Champion>>;
  /**
   * Puts one in use that was better than the one in use, unless that is another by now.
   * @throws ForecasterError when it cannot be read, what the engine says of a network that it cannot run
   */
  take(offer: Offer): Promise<void>;
  /** Goes back to an earlier one if the user has asked for it. */
  readonly lookForRollback: () => Promise<void>;
  dispose(): Promise<void>;
}

/** @throws what the disk or the engine says */
export const openSuccession = async (options: SuccessionOptions): Promise<Succession> => {
  const { config, learns, state, ledger, engine, judge, first, notice, now, began } = options;
  const { context, horizon, stride, tile } = config;
  const asked = { context, horizon, stride };
  const reigns = openReigns(ledger, first.id.hash, config.memoryFrames);
  const history = await openHistory(state, first, now);
  const { folderOf, nameOf } = history;
  const versions = versionsFolder(learningFolder(state));
  const champions = createChampions({ engine, first, asked, tile, versions, folderOf, notice });
  const upcoming = new Subject<Upcoming<Champion>>();

  const startOf = (): string => {
    if (first.id.hash !== NO_FORECASTER.hash) return first.id.hash;
    const chosen = ledger.note('start');
    return typeof chosen === 'string' ? chosen : NO_FORECASTER.hash;
  };
  /** Resolves when it is ready for batches as they come at present. @throws what the engine says of a network that it cannot run */
  const place = async (hash: string, set: ForecasterSet): Promise<void> => {
    const champion = await champions.place(hash, set);
    if (!upcoming.observed) return;
    const error = await new Promise((resolve) => upcoming.next({ champion, ready: resolve }));
    // Of frames that are gone the stages in use decide, when their time comes.
    if (error === undefined || error instanceof FrameError) return;
    champions.forget(hash);
    throw error;
  };
  /** It makes the forecasts from the next frame on: the log has it before the ledger does. */
  const begin = async (hash: string, enter: () => Promise<unknown>): Promise<void> => {
    const old = reigns.champion;
    if (!history.changes.some((change) => change.hash === old))
      await history.enter(old, 'the run began with it');
    await enter();
    await reigns.begin(hash);
    began();
    for (const gone of await history.forgetOld([hash, first.id.hash, startOf()])) vouchers.forget(gone);
  };
  const beginWithFirst = async (why: string): Promise<void> => {
    await history.enter(first.id.hash, why);
    await reigns.begin(first.id.hash);
  };

  // A kill may have come between the two.
  const last = history.changes.at(-1);
  if (last !== undefined && last.hash !== reigns.champion)
    await history.enter(reigns.champion, 'the run ended before the change');
  await removeLeftovers(state, history.changes, first.folder);

  /** Why what was learned before is not gone on with: the same beginning as last time goes on, another begins anew. */
  const whyAnew = (): string | undefined => {
    const before = ledger.note('forecaster');
    if (before !== undefined && before !== first.id.hash)
      return 'the forecaster is not the one that this state began with';
    const strideBefore = (ledger.note('stride') as number | undefined) ?? stride;
    if (strideBefore !== stride) return `what this state knows was learned with a stride of ${strideBefore}`;
    if (!learns && reigns.champion !== first.id.hash) return 'nothing is learned in this run';
    return undefined;
  };
  const anew = whyAnew();
  if (anew !== undefined) {
    notice(`${anew}: forecasts from now on are those of ${first.id.name}`);
    ledger.putNote('start', undefined);
    if (reigns.champion !== first.id.hash) await beginWithFirst(anew);
  } else if (reigns.champion !== first.id.hash)
    notice(`forecasts are those of ${nameOf(reigns.champion)} from the run before`);
  ledger.putNote('forecaster', first.id.hash);
  ledger.putNote('stride', stride);

  const vouchers = openVouchers(
    ledger,
    judge,
    history.changes.map(({ hash }) => hash),
  );

  const lookForRollback = async (): Promise<void> => {
    const hash = await askedRollback(state);
    if (hash !== undefined && hash !== reigns.champion) {
      try {
        await place(hash, await champions.read(hash));
        await begin(hash, () => history.goBackTo(hash));
        notice(`forecasts are those of ${nameOf(hash)} from now on: rolled back`);
      } catch (error) {
        if (!(error instanceof ForecasterError || error instanceof EngineError)) throw error;
        notice(`${messageOf(error)}: it is not gone back to`);
      }
    }
    if (hash !== undefined) await forgetRollback(state);
  };
  await lookForRollback();
  // What cannot be read any more could not be beaten either: nothing would ever take its place.
  try {
    await place(reigns.champion, await champions.read(reigns.champion));
  } catch (error) {
    notice(`${messageOf(error)}: forecasts are those of ${first.id.name} again`);
    await beginWithFirst('the one before cannot be read');
  }

  return {
    get inUse() {
      const hash = reigns.champion;
      return { hash, folder: folderOf(hash), isRolledBack: history.isRolledBack(hash) };
    },
    triedAt: () => vouchers.triedOf(reigns.champion),
    start: () => folderOf(startOf()),
    reignOf: ({ series, position }) => reigns.of(series, position),
    championOf: ([frame]) =>
      champions.of(frame === undefined ? reigns.champion : reigns.of(frame.series, frame.position)),
    working: champions.working,
    end: champions.end,
    upcoming$: upcoming,
    take: async ({ folder, over, why, evidence, scores, tried }) => {
      const isLearned = folder.startsWith(versions);
      const refuse = async (): Promise<void> => {
        if (isLearned) await rm(folder, { recursive: true, force: true });
      };
      // Another one was gone back to meanwhile.
      if (over !== folderOf(reigns.champion)) return refuse();
      const set = await loadForecasterSet(folder, asked);
      const { hash, name } = set.id;
      try {
        await place(hash, set);
      } catch (error) {
        await refuse();
        throw error;
      }
      vouchers.take({ hash, scores, ...(tried !== undefined && { tried }) });
      const version = isLearned ? `${name} ${basename(folder)}` : name;
      if (!isLearned && startOf() === NO_FORECASTER.hash) ledger.putNote('start', hash);
      await begin(hash, () => history.enterNew({ name: version, hash, folder, why, evidence }));
      const times = (rmse: number): string => (evidence.rmse / rmse).toFixed(2);
      notice(
        `forecasts are those of ${version} from now on: ${why}. On ${evidence.windows} windows that it had not learned from its error was ${times(Math.min(evidence.persistence, evidence.linear))} of the better of persistence and linear extrapolation` +
          (evidence.champion === undefined ? '' : `, ${times(evidence.champion)} of the one before`),
      );
    },
    lookForRollback,
    dispose: () => champions.dispose(),
  };
};
