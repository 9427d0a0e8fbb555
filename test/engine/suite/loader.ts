import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import type { LoadHook, ResolveHook } from 'node:module';

/**
 * tfjs-core ships its tests as modules without file endings in their imports and without a package type that says so:
 * these hooks (`module.register`) load them as they are.
 */
const isSource = (url: string | undefined): boolean =>
  url !== undefined && /\/tfjs-core\/dist\/(?!tf-core)/.test(url);

/** A CommonJS package that is imported with a star, as bundlers allow: Node wants its exports by name. */
const seedrandom = createRequire(import.meta.url).resolve('seedrandom');
const GENERATORS = `data:text/javascript,${encodeURIComponent(
  `import all from '${pathToFileURL(seedrandom).href}'; export const { alea, xor128 } = all;`,
)}`;

export const resolve: ResolveHook = async (specifier, context, next) => {
  if (!isSource(context.parentURL)) return next(specifier, context);
  if (specifier === 'seedrandom')
    return { ...(await next(specifier, context)), url: GENERATORS, shortCircuit: true };
  if (!specifier.startsWith('.')) return next(specifier, context);
  try {
    return await next(`${specifier}.js`, context);
  } catch {
    return next(`${specifier}/index.js`, context);
  }
};

export const load: LoadHook = async (url, context, next) =>
  next(url, isSource(url) ? { ...context, format: 'module' } : context);
