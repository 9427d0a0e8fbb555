import type { Argv } from 'yargs';
import { UsageError } from '../pipeline/errors.js';
import { builtInNames, shortName, type CodecOptions } from '../pipeline/plugins/registry.js';
import type { Args } from './command.js';
import { parseSetting, texts } from './command.js';

/** `--codec`: what reads frames besides the codecs that come with mesocast. */
export const declareCodec = (yargs: Argv): Argv =>
  yargs.option('codec', {
    type: 'array',
    string: true,
    requiresArg: true,
    describe: 'a codec of your own, by file (./my-codec.mjs) or package; repeat for more',
  });

/** `--codec` and `--set` of commands that only read frames. */
export const declareCodecs = (yargs: Argv): Argv =>
  declareCodec(yargs).option('set', {
    type: 'array',
    string: true,
    requiresArg: true,
    describe: 'an option of a codec: --set vti.field=phi; repeat for more',
  });

/** Codecs that are named by `--codec`, without options, beside those that have some. */
export const namedCodecs = (args: Args, codecs: CodecOptions = {}): CodecOptions => ({
  ...Object.fromEntries(texts(args, 'codec').map((name) => [name, {}])),
  ...codecs,
});

/**
 * With an option of the codec that `--set NAME.OPTION=VALUE` means: by the name that it was given by, or the short one;
 * undefined where it means none.
 */
export const withCodecOption = (
  codecs: CodecOptions,
  { part, option, value }: ReturnType<typeof parseSetting>,
): CodecOptions | undefined => {
  const names = [...builtInNames('codec'), ...Object.keys(codecs)];
  const name = names.find((one) => one === part) ?? names.find((one) => shortName(one) === part);
  return name === undefined ? undefined : { ...codecs, [name]: { ...codecs[name], [option]: value } };
};

/** `--set encoder.width=32` and the like, as a schema's encoderOptions, ...; and `codecs`. */
export const partOptions = (
  args: Args,
  parts: readonly string[],
): { codecs: CodecOptions; options: Record<string, Record<string, unknown>> } => {
  let codecs = namedCodecs(args);
  const options: Record<string, Record<string, unknown>> = {};
  for (const text of texts(args, 'set')) {
    const setting = parseSetting(text);
    const { part, option, value } = setting;
    const key = `${part}Options`;
    if (parts.includes(part)) {
      options[key] = { ...options[key], [option]: value };
      continue;
    }
    const set = withCodecOption(codecs, setting);
    if (set === undefined)
      throw new UsageError(`--set ${text}: "${part}" has no options`, {
        hint: `one of ${[...new Set([...parts, ...builtInNames('codec'), ...Object.keys(codecs).map(shortName)])].join(', ')}`,
      });
    codecs = set;
  }
  return { codecs, options };
};
