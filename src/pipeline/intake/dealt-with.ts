/** Names of files that were dealt with, by folder: looked at less often than others. Nothing else of them is kept. */
export interface DealtWith {
  readonly size: number;
  add(folder: string, name: string): void;
  delete(folder: string, name: string): void;
  /** For one scan. */
  begin(): Round;
}

export interface Round {
  /** Those of a folder's files that are to be looked at. */
  due(folder: string, files: readonly string[]): readonly string[];
  /** Folders that were not asked for are no more. */
  end(): void;
}

/** Files that were dealt with and are looked at again in one scan, more or less. */
const AGAIN_AT_ONCE = 1000;

export const createDealtWith = (): DealtWith => {
  let folders = new Map<string, Set<string>>();
  let rounds = 0;
  const size = (): number => [...folders.values()].reduce((sum, names) => sum + names.size, 0);
  return {
    get size() {
      return size();
    },
    add: (folder, name) => {
      folders.set(folder, (folders.get(folder) ?? new Set()).add(name));
    },
    delete: (folder, name) => {
      folders.get(folder)?.delete(name);
    },
    begin: () => {
      const still = new Map<string, Set<string>>();
      // In turn, so that a scan of a folder of any size costs about the same.
      const turns = Math.max(1, Math.ceil(size() / AGAIN_AT_ONCE));
      const turn = rounds++ % turns;
      let k = 0;
      return {
        due: (folder, files) => {
          const names = folders.get(folder);
          if (names === undefined || names.size === 0) return files;
          let there = 0;
          const due = files.filter((name) => {
            if (!names.has(name)) return true;
            there++;
            return k++ % turns === turn;
          });
          if (there < names.size) keepOnly(names, files);
          still.set(folder, names);
          return due;
        },
        end: () => {
          folders = still;
        },
      };
    },
  };
};

const keepOnly = (names: Set<string>, there: readonly string[]): void => {
  const all = new Set(there);
  for (const name of names) if (!all.has(name)) names.delete(name);
};
