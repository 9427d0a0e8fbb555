import { convolution } from './convolution.js';
import { elementwise } from './elementwise.js';
import { layout } from './layout.js';
import { products } from './products.js';
import { reductions } from './reductions.js';
import type { Rule } from './rule.js';

/** One rule per tfjs kernel, by family. */
export const kernels: Record<string, Rule> = { ...elementwise, ...layout, ...reductions, ...products, ...convolution };
