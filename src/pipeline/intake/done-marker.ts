/**
 * Whether a file is said to be finished by a file beside it. In `marker` a `*` stands for the file's name, with its ending
 * or without: `*.done` is `f_1.png.done` or `f_1.done`. A name without `*` speaks for all files of its folder.
 */
export interface DoneMarker {
  isDone(name: string, folder: ReadonlySet<string>): boolean;
  /** The file is itself a marker. */
  isMarker(name: string): boolean;
  /** What is waited for, for people. */
  wantedFor(name: string): string;
}

export const doneMarker = (marker: string): DoneMarker => {
  const star = marker.indexOf('*');
  if (star < 0)
    return {
      isDone: (_name, folder) => folder.has(marker),
      isMarker: (name) => name === marker,
      wantedFor: () => marker,
    };
  const [before, after] = [marker.slice(0, star), marker.slice(star + 1)];
  const markerOf = (name: string): string => before + name + after;
  return {
    isDone: (name, folder) => folder.has(markerOf(name)) || folder.has(markerOf(withoutEnding(name))),
    isMarker: (name) =>
      name.length > before.length + after.length && name.startsWith(before) && name.endsWith(after),
    wantedFor: (name) => `${markerOf(name)} or ${markerOf(withoutEnding(name))}`,
  };
};

const withoutEnding = (name: string): string => name.replace(/\.[^.]*$/, '');
