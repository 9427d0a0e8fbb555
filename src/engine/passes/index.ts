import type { Graph } from '../graph.js';
import { collapseTransposes } from './collapse-transposes.js';
import { knownSums } from './known-sums.js';
import { lowerConvolutions } from './lower-convolutions.js';
import { mergeBias } from './merge-bias.js';
import { mergeBlocks } from './merge-blocks.js';
import { mergeBoundary } from './merge-boundary.js';
import { mergeEqual } from './merge-equal.js';
import { mergeFolds } from './merge-folds.js';
import { mergeFilterGradients } from './merge-filter-gradients.js';
import { mergePadding } from './merge-padding.js';
import { removeDead } from './remove-dead.js';
import { simplify } from './simplify.js';
import { sinkTransposes } from './sink-transposes.js';
import { tileConvolutions } from './tile-convolutions.js';

const passes = (onCpu: boolean) => [
  ...[removeDead, simplify],
  ...[mergeBoundary, mergePadding, knownSums, removeDead, mergeFilterGradients],
  ...(onCpu ? [mergeBlocks, mergeFolds, tileConvolutions] : []),
  ...[mergeBias, lowerConvolutions, mergeEqual, sinkTransposes, mergeEqual, collapseTransposes, removeDead],
];

/**
 * From a graph as traced to one of ONNX operations alone, faster and with the same results but for rounding and for how
 * far a value that is not finite spreads (docs/engine.md); `onCpu` where that is what runs it, for what is faster there
 * alone.
 */
export const optimise = (graph: Graph, { onCpu = false } = {}): Graph =>
  passes(onCpu).reduce((g, pass) => pass(g), graph);
