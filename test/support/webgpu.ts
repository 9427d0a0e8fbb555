import { describe } from '@jest/globals';
import { probe } from '../../src/engine/devices/probe.js';

const result = await probe('webgpu', 2);

/**
 * A suite on ONNX Runtime's WebGPU provider, over whatever driver there is; its name says why it is skipped.
 * MESOCAST_SYSTEM_PACKAGES=1 lets `npm run verify` install a driver that computes in software.
 */
export const describeOnWebgpu = (name: string, suite: () => void): void =>
  result.works
    ? describe(name, suite)
    : describe.skip(
        `${name} (skipped: ${result.reason}; MESOCAST_SYSTEM_PACKAGES=1 may install a driver)`,
        suite,
      );
