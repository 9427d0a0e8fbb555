import { count, ints, rewrite, uniform, type Builder, type Graph, type Node, type Value } from '../graph.js';

const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((d, i) => d === b[i]);

const uniformOf = (value: Value | undefined): number | undefined =>
  value?.constant !== undefined && 'uniform' in value.constant ? value.constant.uniform : undefined;

/** `value` where it has the result's shape already, broadcast to it otherwise. */
const expanded = (value: Value, shape: readonly number[], out: Builder): Value =>
  sameShape(value.shape, shape) ? value : out.add('Expand', [value, ints(shape)], shape);

/** The operand that an identity (x + 0, x - 0, x * 1, x / 1) leaves, if the node is one. */
const identityOperand = (op: string, a: Value, b: Value): Value | undefined => {
  const neutral = op === 'Mul' || op === 'Div' ? 1 : 0;
  if (uniformOf(b) === neutral) return a;
  if (uniformOf(a) === neutral && (op === 'Add' || op === 'Mul')) return b;
  return undefined;
};

const ARITHMETIC = new Set(['Add', 'Sub', 'Mul', 'Div']);
const MOVES = new Set(['Reshape', 'Expand', 'Transpose', 'Slice', 'Tile']);

const simplified = (node: Node, inputs: readonly Value[], out: Builder): readonly Value[] | undefined => {
  const [a, b] = inputs;
  const [result] = node.outputs;
  if (a === undefined || result === undefined || node.domain !== '') return undefined;
  const moved = MOVES.has(node.op) ? uniformOf(a) : undefined;
  if (moved !== undefined) return [uniform(moved, result.shape, result.dtype)];
  if (node.op === 'Reshape' && sameShape(a.shape, result.shape)) return [a];
  if (b === undefined || !ARITHMETIC.has(node.op)) return undefined;
  const operand = identityOperand(node.op, a, b);
  if (operand !== undefined) return [expanded(operand, result.shape, out)];
  // A uniform operand need not be spelled out when the other one has the whole shape.
  const [ua, ub] = [uniformOf(a), uniformOf(b)];
  if (ub !== undefined && count(b.shape) > 1 && sameShape(a.shape, result.shape)) {
    return [out.add(node.op, [a, uniform(ub, [], b.dtype)], result.shape, { dtype: result.dtype })];
  }
  if (ua !== undefined && count(a.shape) > 1 && sameShape(b.shape, result.shape)) {
    return [out.add(node.op, [uniform(ua, [], a.dtype), b], result.shape, { dtype: result.dtype })];
  }
  return undefined;
};

/** Takes out what tfjs's gradients write in passing: additions of zeros, products with ones, full-size constants. */
export const simplify = (graph: Graph): Graph => rewrite(graph, simplified);
