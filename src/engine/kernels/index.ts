import { activations } from './activations.js';
import { constants } from './constants.js';
import { inEitherOrder } from './channels-first.js';
import { convolution } from './convolution.js';
import { convolution3d } from './convolution-3d.js';
import { depthwise } from './depthwise.js';
import { elementwise } from './elementwise.js';
import { fusedKernels } from './fused.js';
import { indexing } from './indexing.js';
import { layout } from './layout.js';
import { logic } from './logic.js';
import { normalisation } from './normalisation.js';
import { onnxModels } from './onnx-model.js';
import { pooling } from './pooling.js';
import { products } from './products.js';
import { reductions } from './reductions.js';
import { resize } from './resize.js';
import type { Rule } from './rule.js';

/** One rule per tfjs kernel, by family. */
export const kernels: Record<string, Rule> = {
  ...elementwise,
  ...activations,
  ...logic,
  ...constants,
  ...layout,
  ...indexing,
  ...reductions,
  ...products,
  ...inEitherOrder(convolution),
  ...inEitherOrder(depthwise),
  ...convolution3d,
  ...pooling,
  ...resize,
  ...normalisation,
  ...fusedKernels,
  ...onnxModels,
};
