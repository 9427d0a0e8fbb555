import { codecsByName } from '../bytes.js';
import { optionsOf } from '../config/options.js';
import { StateError } from '../errors.js';
import type { Ledger } from '../ledger/ledger.js';
import type { Plugin } from '../plugins/plugin.js';
import { builtInNames, isPath, loadPlugin, type CodecOptions } from '../plugins/registry.js';
import type { Outcome } from '../run.js';

/** What a run has to have in common with those before it that a state is of. */

const refusal = (why: string): StateError =>
  new StateError(why, { hint: 'begin anew with another --state folder' });

/** What a state knows of frames holds for frames seen the same way. @throws StateError */
export const requireSameView = (ledger: Ledger, description: string, path: string): void => {
  const before = ledger.note('preparation');
  if (typeof before === 'string' && before !== description)
    throw refusal(`the state in ${path} is of ${before}, this run is of ${description}`);
  ledger.putNote('preparation', description);
};

/** The frames that states are rebuilt from have the channels that the forecaster takes. @throws StateError */
export const requireSameChannels = (ledger: Ledger, channels: number, path: string): void => {
  for (const { series, shape } of ledger.allSeries())
    if (shape !== undefined && shape[2] !== channels)
      throw refusal(
        `the frames of ${series} in ${path} have ${shape[2]} channels, the forecaster takes ${channels}`,
      );
};

type Options = CodecOptions[string];

const USED: ReadonlySet<Outcome | undefined> = new Set<Outcome>(['forecast', 'observed', 'warm-up']);

/** Frames of the state are of files that the codec reads, with these options or those. */
const hasRead = (ledger: Ledger, codec: Plugin<'codec'>, ...either: readonly Options[]): boolean => {
  const reads = codecsByName(
    either.flatMap((options) => {
      const { success, data } = codec.options.safeParse(options);
      return success ? [codec.create(data, undefined)] : [];
    }),
  );
  for (const { series } of ledger.allSeries())
    for (const { path, outcome } of ledger.frames(series))
      if (USED.has(outcome) && reads(path) !== undefined) return true;
  return false;
};

/**
 * A state whose frames were read as one field does not go on with another, whether that is said or left out. A default that
 * is spelled out is no other value, and options of codecs that have read nothing yet are free.
 * @throws StateError, and PluginError as `loadPlugin` does
 */
export const requireSameReading = async (
  ledger: Ledger,
  codecs: CodecOptions,
  path: string,
): Promise<void> => {
  const before = ledger.note('codecs') as CodecOptions | undefined;
  const now: Record<string, Options> = {};
  for (const given of new Set([...Object.keys(codecs), ...builtInNames('codec')])) {
    const codec = await loadPlugin('codec', given);
    // The way to a codec of one's own may be written otherwise in another command; older notes have it as it was written.
    const name = isPath(given) ? `./${codec.name}` : given;
    const [had, has] = [before?.[name] ?? before?.[given] ?? {}, codecs[given] ?? {}];
    now[name] = has;
    for (const { name: option, default: usual, isForWriting } of optionsOf(codec.options)) {
      if (isForWriting) continue;
      const [was, is] = [had, has].map((options) => JSON.stringify(options[option] ?? usual));
      // A state that says nothing of codecs at all is an older mesocast's.
      if (was === is || before === undefined || !hasRead(ledger, codec, had, has)) continue;
      const read = was === undefined ? `without ${name}.${option}` : `with ${name}.${option} ${was}`;
      const asks = has[option] === undefined ? 'says nothing of it' : `asks for ${is}`;
      throw refusal(`the frames of the state in ${path} were read ${read}, this run ${asks}`);
    }
  }
  ledger.putNote('codecs', { ...before, ...now });
};
