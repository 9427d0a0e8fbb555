import { describe, test } from '@jest/globals';
import type { Codec } from '../../src/pipeline/plugins/plugin.js';
import type { CodecAbilities } from '../../src/testing/codec-conformance.js';
import { codecConformance as casesOf } from '../../src/testing/codec-conformance.js';

export { sampleField, type CodecAbilities } from '../../src/testing/codec-conformance.js';

/** The public suite, run by jest. */
export const codecConformance = (name: string, codec: Codec, abilities: CodecAbilities): void =>
  describe(`codec ${name} keeps the contract`, () => {
    for (const { name: what, run } of casesOf(codec, abilities)) test(what, run);
  });
