import { permuted, type Value } from '../graph.js';
import { transpose } from './layout.js';
import type { Rule } from './rule.js';

const TO_LAST = [0, 2, 3, 1];
const TO_FIRST = [0, 3, 1, 2];

interface ImageAttributes {
  readonly dataFormat?: 'NHWC' | 'NCHW';
  /** A list has one entry for each axis. */
  readonly pad?: unknown;
  readonly inputShape?: readonly number[];
}

/** Inputs that are images; slopes of PReLU are [C, H, W], with ones where they are shared. */
const IMAGES = new Set(['x', 'dy']);
const SLOPES = 'preluActivationWeights';

/**
 * A rule for images channels last, applied to images channels first too: they are turned around before and after, and
 * the passes carry the turns away.
 */
const eitherOrder =
  (rule: Rule): Rule =>
  (inputs, attributes: ImageAttributes, graph) => {
    if (attributes.dataFormat !== 'NCHW') return rule(inputs, attributes, graph);
    const last: Record<string, Value> = {};
    for (const [name, value] of Object.entries(inputs)) {
      if (IMAGES.has(name)) last[name] = transpose(graph, value, TO_LAST);
      else if (name === SLOPES && value.shape.length === 3) last[name] = transpose(graph, value, [1, 2, 0]);
      else last[name] = value;
    }
    const { pad, inputShape } = attributes;
    const said = {
      ...attributes,
      dataFormat: 'NHWC',
      ...(Array.isArray(pad) ? { pad: permuted(pad, TO_LAST) } : {}),
      ...(inputShape === undefined ? {} : { inputShape: permuted(inputShape, TO_LAST) }),
    };
    const y = rule(last, said, graph) as Value;
    // The gradient of a filter is no image.
    return 'x' in inputs && 'dy' in inputs ? y : transpose(graph, y, TO_FIRST);
  };

/** All rules of a family for both orders of axes. */
export const inEitherOrder = (rules: Record<string, Rule>): Record<string, Rule> =>
  Object.fromEntries(Object.entries(rules).map(([name, rule]) => [name, eitherOrder(rule)]));
