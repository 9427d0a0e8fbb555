import type { Builder, Value } from '../graph.js';

/** Attributes as tfjs hands them to a kernel. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- tfjs types attributes per kernel, but hands them over untyped
export type Attributes = any;

/**
 * What a tfjs kernel is in a graph: appends nodes and returns the outputs. Inputs have the names that tfjs gives them
 * (`x`, `a` and `b`, `filter`, ...; 0, 1, ... for Concat, Pack, AddN).
 */
export type Rule = (inputs: Record<string, Value>, attributes: Attributes, graph: Builder) => Value | Value[];
