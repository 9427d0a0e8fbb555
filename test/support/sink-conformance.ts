import { describe, test } from '@jest/globals';
import type { SinkSubject } from '../../src/testing/sink-conformance.js';
import { sinkConformance } from '../../src/testing/sink-conformance.js';

/** The public suite, run by jest. */
export const describeSink = (name: string, subject: SinkSubject): void =>
  describe(`sink ${name}`, () => {
    for (const { name: what, run } of sinkConformance(subject)) test(what, run);
  });
