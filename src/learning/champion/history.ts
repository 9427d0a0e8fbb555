import type { ForecasterSet } from '../../uncertainty/forecaster-set.js';
import { NO_FORECASTER } from '../../pipeline/forecast.js';
import { appendChange, readChanges, type Change } from './log.js';
import { forgetOldVersions } from './versions.js';

/** Why a forecaster is in use that was gone back to. */
const ROLLED_BACK = 'rolled back';

/** The forecasters that have been in use, by hash, as the log of a state folder has them, and the one that the run was given. */
export interface History {
  /** The last change to each, in the order in which they were last in use. */
  readonly changes: readonly Change[];
  /** Undefined where nothing is known of it, and for none at all. */
  readonly folderOf: (hash: string) => string | undefined;
  readonly nameOf: (hash: string) => string;
  /** Whether it was gone back to when it was last put in use. */
  isRolledBack(hash: string): boolean;
  /** Writes that one that is known is in use from now on. */
  enter(hash: string, why: string): Promise<void>;
  /** The same of one that comes from the learner. */
  enterNew(change: Omit<Change, 'at'>): Promise<void>;
  /** The same of one that was in use before, and that the user wants again. */
  goBackTo(hash: string): Promise<void>;
  /** Deletes versions that have long been out of use, but for those in `kept`; gives the hashes of those that are gone. */
  forgetOld(kept: readonly string[]): Promise<string[]>;
}

export const openHistory = async (
  state: string,
  first: Pick<ForecasterSet, 'id' | 'folder'>,
  now: () => Date,
): Promise<History> => {
  const last = new Map<string, Change>();
  const remember = (change: Change): void => {
    last.delete(change.hash);
    last.set(change.hash, change);
  };
  for (const change of await readChanges(state)) remember(change);

  const folderOf = (hash: string): string | undefined =>
    hash === first.id.hash && first.folder !== '' ? first.folder : last.get(hash)?.folder;
  const nameOf = (hash: string): string =>
    hash === first.id.hash ? first.id.name : (last.get(hash)?.name ?? NO_FORECASTER.name);
  const enterNew = async (news: Omit<Change, 'at'>): Promise<void> => {
    const change = { at: now().toISOString(), ...news };
    await appendChange(state, change);
    remember(change);
  };
  const enter = (hash: string, why: string): Promise<void> => {
    const folder = folderOf(hash);
    return enterNew({ name: nameOf(hash), hash, ...(folder !== undefined && { folder }), why });
  };
  return {
    get changes() {
      return [...last.values()];
    },
    folderOf,
    nameOf,
    isRolledBack: (hash) => last.get(hash)?.why === ROLLED_BACK,
    enter,
    enterNew,
    goBackTo: (hash) => enter(hash, ROLLED_BACK),
    forgetOld: async (kept) => {
      const gone = await forgetOldVersions(state, [...last.values()], kept);
      gone.forEach((hash) => last.delete(hash));
      return gone;
    },
  };
};
