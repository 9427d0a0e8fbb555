const { TestEnvironment } = require('jest-environment-node');

/**
 * Jest runs tests in a vm context with its own typed-array constructors. Values that come from native modules and
 * worker threads are of the main context's, so `instanceof Float32Array` would be false for them in tests alone.
 */
module.exports = class extends TestEnvironment {
  constructor(config, context) {
    super(config, context);
    for (const name of [
      'Float32Array',
      'Float64Array',
      'Int8Array',
      'Int16Array',
      'Int32Array',
      'Uint8Array',
      'Uint8ClampedArray',
      'Uint16Array',
      'Uint32Array',
      'BigInt64Array',
      'BigUint64Array',
      'ArrayBuffer',
      'DataView',
      'SharedArrayBuffer',
    ]) {
      this.global[name] = globalThis[name];
    }
  }
};
