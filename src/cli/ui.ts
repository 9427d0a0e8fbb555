import progress from 'cli-progress';

/** A line that shows how far a command is: redrawn on a terminal, printed now and then elsewhere. */
export interface Progress {
  /** `value` of `total`; `note` is what follows the bar. */
  update(value: number, note: string): void;
  stop(): void;
}

/** Where a command talks. With --json, standard output carries the result alone and people read standard error. */
export interface Ui {
  readonly json: boolean;
  /** A line for people. */
  say(line: string): void;
  /** Something that people should know: standard error, one line. */
  warn(line: string): void;
  /** The command's result: an object for machines, or lines for people. */
  result(value: object, lines: readonly string[]): void;
  /** `total` undefined: it is not known when it ends. */
  progress(label: string, total: number | undefined): Progress;
}

/** Seconds between two lines of progress where there is no terminal. */
const QUIET_SECONDS = 10;

/** Names of files may hold line feeds, and what terminals obey. */
export const oneLine = (text: string): string =>
  text.replace(/[\u0000-\u001f\u007f]/g, (letter) =>
    JSON.stringify(letter).slice(1, -1).replace('\u007f', '\\u007f'),
  );

export const createUi = (json: boolean): Ui => {
  const { stdout, stderr } = process;
  let bar: InstanceType<typeof progress.MultiBar> | undefined;
  const print = (stream: NodeJS.WriteStream, line: string): void => {
    // While a bar is drawn, lines have to go above it.
    if (bar) bar.log(`${line}\n`);
    else stream.write(`${line}\n`);
  };

  const sparse = (label: string, total: number | undefined): Progress => {
    let last = Date.now();
    let pending: string | undefined;
    return {
      update: (value, note) => {
        pending = `${label} ${value}${total === undefined ? '' : `/${total}`}  ${note}`;
        if (Date.now() - last < QUIET_SECONDS * 1000) return;
        last = Date.now();
        print(stdout, pending);
        pending = undefined;
      },
      stop: () => {
        if (pending !== undefined) print(stdout, pending);
        pending = undefined;
      },
    };
  };

  const drawn = (label: string, total: number | undefined): Progress => {
    const format =
      total === undefined ? `${label} {value}  {note}` : `${label} {bar} {value}/{total}  {note}`;
    const multi = new progress.MultiBar(
      {
        format,
        hideCursor: true,
        clearOnComplete: false,
        linewrap: false,
        barsize: 20,
        fps: 5,
        gracefulExit: false,
      },
      progress.Presets.shades_classic,
    );
    const line = multi.create(total ?? Number.MAX_SAFE_INTEGER, 0, { note: '' });
    bar = multi;
    return {
      update: (value, note) => line.update(value, { note }),
      stop: () => {
        multi.stop();
        bar = undefined;
      },
    };
  };

  return {
    json,
    say: (line) => (json ? undefined : print(stdout, line)),
    warn: (line) => print(stderr, oneLine(line)),
    result: (value, lines) => {
      if (json) stdout.write(`${JSON.stringify(value)}\n`);
      else for (const line of lines) print(stdout, oneLine(line));
    },
    progress: (label, total) => {
      if (json) return { update: () => undefined, stop: () => undefined };
      return stdout.isTTY ? drawn(label, total) : sparse(label, total);
    },
  };
};
