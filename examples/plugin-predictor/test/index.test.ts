import assert from 'node:assert/strict';
import { test } from 'node:test';
import { predictorConformance } from 'mesocast/testing';
import { myPredictor } from '../src/index.js';

const predictor = myPredictor.create(myPredictor.options.parse({ fields: 6, steps: 2 }), undefined);

// What every predictor has to do: the same weights at any size, compiled as it is written, gradients for all of them.
for (const { name, run } of predictorConformance(predictor)) test(name, run);

// What this one does besides.
test('it remembers as many fields as it is told to', () => {
  assert.deepEqual(predictor.stateShapes(1, 8, 8, 4), [[1, 8, 8, 6]]);
});
