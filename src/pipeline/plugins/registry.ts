import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, extname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { didYouMean } from '../closest.js';
import { PluginError, codeOf, messageOf } from '../errors.js';
import { explain, optionsOf, unknownKeys } from '../config/options.js';
import type { OptionInfo } from '../config/options.js';
import { PLUGIN_API } from './plugin.js';
import type { Codec, Plugin, PluginKind, PluginKinds } from './plugin.js';

/** The plugins that come with mesocast. The only place that names them. */
const builtIns: Readonly<Record<PluginKind, Readonly<Record<string, () => Promise<unknown>>>>> = {
  source: {
    directory: () => import('../../../plugins/sources/directory.js'),
  },
  codec: {
    png: () => import('../../../plugins/codecs/png.js'),
    tiff: () => import('../../../plugins/codecs/tiff.js'),
    npy: () => import('../../../plugins/codecs/npy.js'),
    npz: () => import('../../../plugins/codecs/npz.js'),
    jpeg: () => import('../../../plugins/codecs/jpeg.js'),
    webp: () => import('../../../plugins/codecs/webp.js'),
    vti: () => import('../../../plugins/codecs/vti.js'),
    vtk: () => import('../../../plugins/codecs/vtk.js'),
    vtu: () => import('../../../plugins/codecs/vtu.js'),
    mrc: () => import('../../../plugins/codecs/mrc.js'),
    hdf5: () => import('../../../plugins/codecs/hdf5.js'),
    raw: () => import('../../../plugins/codecs/raw.js'),
  },
  encoder: {
    conv: () => import('../../../plugins/encoders/conv.js'),
    patch: () => import('../../../plugins/encoders/patch.js'),
  },
  predictor: {
    conv_lstm: () => import('../../../plugins/predictors/conv-lstm.js'),
    convnext: () => import('../../../plugins/predictors/convnext.js'),
    e3d_lstm: () => import('../../../plugins/predictors/e3d-lstm.js'),
    linear_prediction: () => import('../../../plugins/predictors/linear-prediction.js'),
    resnet: () => import('../../../plugins/predictors/resnet.js'),
  },
  decoder: {
    conv: () => import('../../../plugins/decoders/conv.js'),
    patch: () => import('../../../plugins/decoders/patch.js'),
  },
  sink: {
    files: () => import('../../../plugins/sinks/files.js'),
    jsonl: () => import('../../../plugins/sinks/jsonl.js'),
    webhook: () => import('../../../plugins/sinks/webhook.js'),
    exec: () => import('../../../plugins/sinks/exec.js'),
    mqtt: () => import('../../../plugins/sinks/mqtt.js'),
    nats: () => import('../../../plugins/sinks/nats.js'),
    trigger: () => import('../../../plugins/sinks/trigger.js'),
  },
  simulation: {
    dendrite: () => import('../../../plugins/simulations/dendrite.js'),
    grain_growth: () => import('../../../plugins/simulations/grain-growth.js'),
    plane_wave: () => import('../../../plugins/simulations/plane-wave.js'),
    spinodal: () => import('../../../plugins/simulations/spinodal.js'),
  },
};

const kinds = Object.keys(builtIns) as PluginKind[];

/** Names of the built-in plugins of a kind. */
export const builtInNames = (kind: PluginKind): string[] => Object.keys(builtIns[kind]);

/** Looks like a plugin of some kind and some version of the API. */
const isPlugin = (value: unknown): value is Plugin =>
  typeof value === 'object' && value !== null && 'api' in value && 'kind' in value && 'create' in value;
const isOfKind = <K extends PluginKind>(plugin: Plugin, kind: K): plugin is Plugin<K> => plugin.kind === kind;

/** A plugin named by its file: ./, ../, / or file:. */
export const isPath = (name: string): boolean => /^(\.{0,2}\/|file:|[a-zA-Z]:[\\/]|\.{1,2}\\)/.test(name);

/** What a plugin is called for short: what the name of its package or file ends in, `my-codec` for ./my-codec.mjs. */
export const shortName = (name: string): string => basename(name, isPath(name) ? extname(name) : '');

const NETWORKS: ReadonlySet<PluginKind> = new Set(['encoder', 'predictor', 'decoder']);
/**
 * A package may bring a copy of tfjs-core. It shares the state of the first, and says on standard error that it does. In
 * turn only: it throws a switch for the time of the import.
 */
const withoutGreeting = async (specifier: string): Promise<unknown> => {
  const { env } = await import('@tensorflow/tfjs-core');
  const before = env().getBool('PROD');
  env().set('PROD', true);
  try {
    return await import(specifier);
  } finally {
    env().set('PROD', before);
  }
};

/** Where a plugin that is not built in lies, as something that import() takes. */
const locate = (kind: PluginKind, name: string): string => {
  if (isPath(name)) {
    const path = name.startsWith('file:') ? fileURLToPath(name) : resolve(name);
    if (!existsSync(path)) throw new PluginError(`${kind} "${name}": there is no file ${path}`);
    return pathToFileURL(path).href;
  }
  // A package of the user's project first, then one that lies beside mesocast.
  try {
    return pathToFileURL(createRequire(join(process.cwd(), 'package.json')).resolve(name)).href;
  } catch {
    return name;
  }
};

let lastImport: Promise<unknown> = Promise.resolve();
/**
 * Imports one after the other: module loaders on node:vm, such as jest's, fail with "request is not in cache" when
 * modules that share dependencies are imported at the same time.
 */
const inTurn = (load: () => Promise<unknown>): Promise<unknown> => (lastImport = lastImport.then(load, load));

const load = async (kind: PluginKind, name: string): Promise<unknown> => {
  const builtIn = Object.hasOwn(builtIns[kind], name) ? builtIns[kind][name] : undefined;
  if (builtIn) return inTurn(builtIn);
  const specifier = locate(kind, name);
  try {
    return await inTurn(() => (NETWORKS.has(kind) ? withoutGreeting(specifier) : import(specifier)));
  } catch (cause) {
    const isMissing = ['ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND', 'ERR_UNSUPPORTED_DIR_IMPORT'].includes(
      codeOf(cause) ?? '',
    );
    if (isMissing && specifier === name) {
      throw new PluginError(`there is no ${kind} "${name}"`, {
        cause,
        hint: `${didYouMean(name, builtInNames(kind))}; or give a file (./my-${kind}.mjs) or an installed npm package`,
      });
    }
    const hint = messageOf(cause).includes("'mesocast'")
      ? { hint: "install mesocast (its .tgz) in the file's folder, or one above it" }
      : {};
    throw new PluginError(`${kind} "${name}" cannot be loaded: ${messageOf(cause)}`, { cause, ...hint });
  }
};

/**
 * A plugin by built-in name, file path (./, ../, / or file:, relative to the working directory) or npm package. It is
 * found among the module's exports, whatever its export is called.
 * @throws PluginError when there is none, or it is of another kind or API version
 */
export const loadPlugin = async <K extends PluginKind>(kind: K, name: string): Promise<Plugin<K>> => {
  const module = await load(kind, name);
  const found = [...new Set(Object.values(module as Record<string, unknown>))].filter(isPlugin);
  const fitting = found.filter((plugin) => isOfKind(plugin, kind));
  const [plugin, another] = fitting;
  if (plugin === undefined) {
    const what = found.map((other) => `${other.kind} "${other.name}"`).join(', ');
    throw new PluginError(
      what === ''
        ? `${kind} "${name}": the module exports no plugin`
        : `${kind} "${name}": the module exports ${what}, not a ${kind}`,
      {
        hint: `export what define${kind[0]!.toUpperCase()}${kind.slice(1)}({ name, summary, options, create }) of mesocast returns`,
      },
    );
  }
  if (another !== undefined) {
    throw new PluginError(
      `${kind} "${name}": the module exports several ${kind}s: ${fitting.map((p) => p.name).join(', ')}`,
      {
        hint: 'one module, one plugin of a kind',
      },
    );
  }
  const api: number = plugin.api;
  if (api !== PLUGIN_API) {
    throw new PluginError(
      `${kind} "${name}" is written for plugin API ${api}, this mesocast has ${PLUGIN_API}`,
      {
        hint: api > PLUGIN_API ? 'update mesocast' : 'update the plugin',
      },
    );
  }
  const schema: unknown = plugin.options;
  if (typeof schema !== 'object' || schema === null || !('safeParse' in schema)) {
    throw new PluginError(`${kind} "${name}": its options are not a zod schema`, {
      hint: "options: z.strictObject({ ... }), with z from 'mesocast'",
    });
  }
  return plugin;
};

/** Options as a plugin's schema makes them, defaults filled in. @throws PluginError naming each wrong option */
export const validOptions = <K extends PluginKind>(
  plugin: Plugin<K>,
  options: unknown,
): Record<string, unknown> => {
  const { kind, name, options: schema } = plugin;
  const input = options ?? {};
  const parsed = schema.safeParse(input);
  // A plain object schema drops unknown keys, a strict one reports them: here both end in the same words.
  const issues = parsed.success
    ? []
    : parsed.error.issues.filter((issue) => issue.code !== 'unrecognized_keys' || issue.path.length > 0);
  const known = Object.keys(schema.shape);
  const problems = [
    ...unknownKeys(schema, input).map(
      (key) => `${key} is not known: ${known.length > 0 ? didYouMean(key, known) : 'it takes no options'}`,
    ),
    ...explain(issues, schema, input),
  ].map((problem) => `option ${problem}`);
  if (problems.length > 0 || !parsed.success) {
    throw new PluginError(`${kind} "${name}": ${problems.join('; ')}`, { hint: 'see `mesocast plugins`' });
  }
  return parsed.data;
};

/** A working instance of a plugin. @throws PluginError as `loadPlugin` and `validOptions` do */
export const createPlugin = async <K extends PluginKind>(
  kind: K,
  name: string,
  options: unknown,
  context: PluginKinds[K]['context'],
): Promise<PluginKinds[K]['instance']> => {
  const plugin = await loadPlugin(kind, name);
  return plugin.create(validOptions(plugin, options), context);
};

/** What `mesocast plugins` shows. */
export interface PluginInfo {
  readonly kind: PluginKind;
  readonly name: string;
  readonly summary: string;
  readonly options: readonly OptionInfo[];
}

/** All built-in plugins. */
export const listPlugins = async (): Promise<PluginInfo[]> =>
  Promise.all(
    kinds.flatMap((kind) =>
      builtInNames(kind).map(async (name) => {
        const plugin = await loadPlugin(kind, name);
        return { kind, name: plugin.name, summary: plugin.summary, options: optionsOf(plugin.options) };
      }),
    ),
  );

/** Options of codecs by name; a name may be a file path or package as well. */
export type CodecOptions = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** All built-in codecs, and those that are named besides. @throws PluginError as `createPlugin` does */
export const createCodecs = (options: CodecOptions = {}): Promise<Codec[]> =>
  Promise.all(
    [...new Set([...Object.keys(options), ...builtInNames('codec')])].map((name) =>
      createPlugin('codec', name, options[name] ?? {}, undefined),
    ),
  );

let loadedCodecs: Promise<Codec[]> | undefined;
/** Made once: codecs keep no state between files. */
const codecs = (): Promise<Codec[]> => (loadedCodecs ??= createCodecs());

/**
 * The codec for a file name ending, with the dot, in any case.
 * @throws PluginError naming the endings that are known
 */
export const codecForExtension = async (extension: string): Promise<Codec> => {
  const all = await codecs();
  const codec = all.find(({ extensions }) => extensions.includes(extension.toLowerCase()));
  if (codec) return codec;
  throw new PluginError(`no codec reads ${extension || 'a file without an extension'}`, {
    hint: `readable: ${all.flatMap(({ extensions }) => extensions).join(', ')}`,
  });
};
