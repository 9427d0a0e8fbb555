import type { ChildProcess } from 'node:child_process';

/** What a program leaves running may hold its pipes open for so many milliseconds after it has ended. */
const GRACE = 1_000;

/** Closes the pipes of a program soon after it has ended, so that `close` comes whatever it has left running. */
export const closePipesAtExit = (child: ChildProcess): void => {
  child.on('exit', () => {
    setTimeout(
      () => [child.stdin, child.stdout, child.stderr].forEach((pipe) => pipe?.destroy()),
      GRACE,
    ).unref();
  });
};
