/** Every way in which mesocast itself refuses something. `hint` says what to do about it. */
export abstract class MesocastError extends Error {
  abstract readonly tag: string;
  /** Worth trying again unchanged: the cause may pass (a full disk, a server that restarts). */
  readonly retryable: boolean = false;
  readonly hint: string | undefined;
  constructor(message: string, options: { cause?: unknown; hint?: string } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.hint = options.hint;
    this.name = new.target.name;
  }
}

/** A command line, config file or plugin option is wrong. Exit code 2. */
export class UsageError extends MesocastError {
  readonly tag = 'usage';
}

/** Something needed at start-up is missing or unusable: directory, state folder, sink. Exit code 3. */
export class StartupError extends MesocastError {
  readonly tag = 'startup';
}

/** A forecaster folder is missing, damaged or does not fit. Exit code 3. */
export class ForecasterError extends MesocastError {
  readonly tag = 'forecaster';
}

/** A file is not what its name says, or not whole. */
export class CodecError extends MesocastError {
  readonly tag = 'codec';
}

/** A frame was decoded but cannot be used: other shape, NaN, late, duplicate. */
export class FrameError extends MesocastError {
  readonly tag = 'frame';
}

/** A tensor function cannot be compiled or run. */
export class EngineError extends MesocastError {
  readonly tag = 'engine';
}

/** A plugin cannot be found, loaded or configured. Exit code 2. */
export class PluginError extends MesocastError {
  readonly tag = 'plugin';
}

/**
 * A sink did not take what it was given. Retryable unless it says otherwise: it is tried again, with growing pauses. One
 * that is not retryable puts the delivery aside, see docs/sinks.md.
 */
export class SinkError extends MesocastError {
  readonly tag = 'sink';
  override readonly retryable: boolean;
  /** Milliseconds that the receiver asked to wait before the next try. */
  readonly retryAfterMs: number | undefined;
  constructor(
    message: string,
    options: { cause?: unknown; hint?: string; retryable?: boolean; retryAfterMs?: number } = {},
  ) {
    super(message, options);
    this.retryable = options.retryable ?? true;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** The state folder is locked, damaged or of another version. Exit code 3. */
export class StateError extends MesocastError {
  readonly tag = 'state';
}

/** Errors are known by what they have, not by `instanceof`: those of worker threads and vm contexts are of other classes. */
const hasText = <K extends string>(value: unknown, key: K): value is Record<K, string> =>
  typeof value === 'object' && value !== null && typeof Reflect.get(value, key) === 'string';

/** The message of anything thrown. */
export const messageOf = (error: unknown): string =>
  hasText(error, 'message') ? error.message : String(error);

/** Whether it is one of these, also of another copy of mesocast: a plugin that is a package has its own. */
export const isOurs = (error: unknown): error is MesocastError =>
  hasText(error, 'tag') && typeof Reflect.get(error, 'retryable') === 'boolean';

/** What to do about it, if the error says that. */
export const hintOf = (error: unknown): string | undefined =>
  isOurs(error) && hasText(error, 'hint') ? error.hint : undefined;

/** Codes that Node has no name for, such as that of a stale file of NFS, are "Unknown system error -116". */
const SYSTEMS = /^(E[A-Z\d]+|UNKNOWN|Unknown system error .*)$/;

/** Whether it is the system's, such as ENOSPC: it says nothing of what is in a file. Codes of Node's own have a "_" in them, and may be of bad bytes. */
export const isSystems = (error: unknown): boolean => {
  const code = codeOf(error);
  return !isOurs(error) && code !== undefined && SYSTEMS.test(code);
};

/** The errno code of a Node system error, if it is one. */
export const codeOf = (error: unknown): string | undefined =>
  hasText(error, 'code') ? error.code : undefined;

/** Process exit code for an error that ended a command. */
export const exitCodeOf = (error: unknown): number => {
  if (!isOurs(error)) return 1;
  if (error.tag === 'usage' || error.tag === 'plugin') return 2;
  if (error.tag === 'startup' || error.tag === 'forecaster' || error.tag === 'state') return 3;
  return error.tag === 'sink' ? 4 : 1;
};
