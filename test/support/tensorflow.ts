import { describe } from '@jest/globals';
import { findTensorflow } from '../../src/engine/tensorflow/engine.js';
import { messageOf } from '../../src/pipeline/errors.js';

/** Why suites on TensorFlow are skipped. A folder that MESOCAST_TFJS_NODE names must have it. */
const missing = ((): string | undefined => {
  if (process.env['MESOCAST_TFJS_NODE'] !== undefined) return undefined;
  try {
    findTensorflow();
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
})();

export const hasTensorflow = missing === undefined;

/** A suite on the real tfjs-node(-gpu); its name says why it is skipped. */
export const describeOnTensorflow = (name: string, suite: () => void): void =>
  hasTensorflow ? describe(name, suite) : describe.skip(`${name} (skipped: ${missing ?? ''})`, suite);
