import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { EngineError, messageOf } from '../../pipeline/errors.js';
import { tapeOf, type Tape } from './tape.js';
import { trace } from '../tracer.js';
import type { Engine, Named, Spec, TensorFunction } from '../types.js';
import { connect, specsOf, workerEngine, type Compiled } from '../worker/engine.js';

const PACKAGES = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'];
/** Names the folder whose node_modules has the package, where it is neither beside mesocast nor where mesocast is run. */
const FOLDER = 'MESOCAST_TFJS_NODE';

const INSTALL = 'npm install @tensorflow/tfjs-node-gpu@4.22.0 (or @tensorflow/tfjs-node), beside mesocast';

interface Found {
  readonly name: string;
  readonly path: string;
}

/**
 * The package beside mesocast, then in the working directory; only in the folder that MESOCAST_TFJS_NODE names, if any.
 * @throws EngineError when it is in none
 */
export const findTensorflow = (): Found => {
  const folder = process.env[FOLDER];
  const places =
    folder === undefined || folder === ''
      ? [import.meta.url, join(process.cwd(), 'package.json')]
      : [resolve(folder, 'package.json')];
  for (const place of places) {
    for (const name of PACKAGES) {
      try {
        return { name, path: dirname(createRequire(place).resolve(`${name}/package.json`)) };
      } catch {
        // not there: the next one
      }
    }
  }
  const where = places.length === 1 ? ` in ${folder} (${FOLDER})` : '';
  throw new EngineError(`@tensorflow/tfjs-node-gpu is not installed${where}`, { hint: INSTALL });
};

/** Read by the native library when it is loaded; a worker's own `process.env` would not reach it. */
const setEnvironment = (threads: number | undefined): void => {
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2'; // errors only
  if (threads !== undefined && threads > 0) process.env['TF_NUM_INTRAOP_THREADS'] ??= String(threads);
};

/**
 * TensorFlow.js functions on TensorFlow itself, through tfjs-node(-gpu), kernel by kernel in a thread of its own.
 * `threads` counts for the first engine of a process.
 * @throws EngineError when the package is missing or does not load
 */
export const tensorflowEngine = async (threads?: number): Promise<Engine> => {
  const { name, path } = findTensorflow();
  setEnvironment(threads);
  const connection = connect<Tape>({
    worker: new URL('./worker.js', import.meta.url),
    workerOptions: { workerData: path },
    explain: (error) => `TensorFlow: ${error}`,
  });
  const { text } = await connection.ask({ kind: 'describe' }).catch((error: unknown) => {
    const thrown = error instanceof Error ? (error.cause ?? error) : error;
    throw new EngineError(`${name} is installed but does not load: ${messageOf(thrown).split('\n')[0]}`, {
      hint: `its install script downloads TensorFlow's library: see that it ran (npm rebuild ${name})`,
      cause: error,
    });
  });
  const prepare = (fn: TensorFunction, inputs: Named<Spec>): Compiled<Tape> => {
    const traced = trace(fn, inputs);
    const names = Object.fromEntries(Object.keys(traced.outputs).map((output) => [output, output]));
    return { source: tapeOf(traced), outputs: specsOf(traced.outputs), names };
  };
  return workerEngine(`tensorflow (${name}, ${text})`, connection, prepare, () => tensorflowEngine(threads));
};
