/** What authors of plugins test them with, in any test runner: `mesocast/testing`. */
export { codecConformance, sampleField } from './codec-conformance.js';
export type { CodecAbilities } from './codec-conformance.js';
export type { ConformanceCase } from './conformance.js';
export { exampleForecast, exampleFrame, exampleScore, sinkContext } from './examples.js';
export { predictorConformance } from './predictor-conformance.js';
export { sinkConformance } from './sink-conformance.js';
export type { SinkSubject } from './sink-conformance.js';
