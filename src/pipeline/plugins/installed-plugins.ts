import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../errors.js';
import { optionsOf } from '../config/options.js';
import type { PluginKind } from './plugin.js';
import { loadPlugin } from './registry.js';
import type { PluginInfo } from './registry.js';

/** A plugin package of the user's project, or why it does not work. */
export type Installed =
  (PluginInfo & { readonly package: string }) | { readonly package: string; readonly problem: string };

const KINDS: readonly PluginKind[] = ['codec', 'encoder', 'predictor', 'decoder', 'sink', 'simulation'];
const isKind = (value: unknown): value is PluginKind => KINDS.some((kind) => kind === value);

const readJson = async (path: string): Promise<Record<string, unknown>> => {
  try {
    const value: unknown = JSON.parse(await readFile(path, 'utf8'));
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {}; // no project, or not one that npm could read either
  }
};
const field = (value: unknown, key: string): unknown =>
  typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;

/**
 * Packages that the project in `folder` depends on and that say of themselves that they are plugins: the keyword
 * `mesocast-plugin` and `"mesocast": { "kind": "sink" }` in their package.json.
 */
export const installedPlugins = async (folder: string): Promise<Installed[]> => {
  const manifest = await readJson(join(folder, 'package.json'));
  const names = ['dependencies', 'devDependencies', 'optionalDependencies'].flatMap((key) =>
    Object.keys({ ...(field(manifest, key) as object | undefined) }),
  );
  const found: Installed[] = [];
  for (const name of [...new Set(names)].sort()) {
    const own = await readJson(join(folder, 'node_modules', name, 'package.json'));
    const keywords = own.keywords;
    if (!Array.isArray(keywords) || !keywords.includes('mesocast-plugin')) continue;
    const kind = field(own.mesocast, 'kind');
    const label = `${name}@${String(own.version)}`;
    try {
      if (!isKind(kind)) throw new Error(`its package.json says no kind ("mesocast": { "kind": "sink" })`);
      const plugin = await loadPlugin(kind, name);
      found.push({ package: label, kind, name, summary: plugin.summary, options: optionsOf(plugin.options) });
    } catch (error) {
      found.push({ package: label, problem: messageOf(error) });
    }
  }
  return found;
};
