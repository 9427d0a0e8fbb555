import { expect, test } from '@jest/globals';
import type { Summary } from '../../src/pipeline/run.js';
import { addSummaries } from '../../src/pipeline/run-counts.js';

const delivered = { delivered: 3, retried: 0, dropped: 0, refused: 0, spilled: 0, queued: 0, waiting: 0 };
const summary = (deliveries: Summary['deliveries']): Summary => ({
  frames: { forecast: 2, observed: 0, 'warm-up': 1, rejected: 0, lost: 0 },
  ...{ late: 0, duplicate: 0, revised: 0, missing: 1, forecasts: 2, missed: 0, seconds: 1 },
  scores: { final: 1, expired: 0 },
  deliveries,
});

test('of a run in two stretches what a sink had queued that was removed between them came again', () => {
  const both = addSummaries(
    summary({ gone: { ...delivered, queued: 5, waiting: 2 }, kept: { ...delivered, queued: 1 } }),
    summary({ kept: delivered }),
  );
  expect(both.deliveries).toEqual({
    gone: { ...delivered, queued: 0, waiting: 2 },
    kept: { ...delivered, delivered: 6, queued: 0 },
  });
  expect(both).toMatchObject({ forecasts: 4, missing: 2, frames: { forecast: 4 }, scores: { final: 2 } });
});
