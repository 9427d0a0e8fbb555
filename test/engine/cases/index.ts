import type { Case } from './case.js';
import { depthwise, volumes } from './depthwise.js';
import { activations, constants, elementwise, logic } from './elementwise.js';
import { convolutions, fused, pooling, resizing } from './images.js';
import { indexing, layout } from './layout.js';
import { models } from './models.js';
import { networks } from './networks.js';
import { products, reductions } from './reductions.js';

/** By family: each is compiled as one function. */
export const families: Record<string, readonly Case[]> = {
  elementwise,
  activations,
  logic,
  constants,
  layout,
  indexing,
  reductions,
  products,
  convolutions,
  depthwise,
  volumes,
  pooling,
  resizing,
  fused,
  models,
  networks,
};
