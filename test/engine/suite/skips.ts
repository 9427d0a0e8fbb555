/** Why tests are skipped, by what they fail with. Each has to occur, or it goes. */
export const BY_ERROR: readonly {
  readonly error: RegExp;
  readonly reason: (found: RegExpExecArray) => string;
}[] = [
  { error: /hold string tensors/, reason: () => 'text' },
  {
    error: /Kernel '(\w+)' not registered/,
    reason: ([, kernel = '']) => `no rule for ${kernel}`,
  },
  {
    error: /a pooling window lies wholly in the padding/,
    reason: () => 'windows that see padding alone are refused',
  },
];

const NAN = 'what a NaN does to it is left to ONNX Runtime';
const DIGITS = 'expects digits that float32 does not have';

const MIRRORED = 'expects no gradient from the mirrored part: it has one, as in TensorFlow';

/** Single tests, by suite and name. Each has to fail, or it goes. */
export const BY_NAME: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  argmax: { 'ignores NaNs': NAN },
  argmin: { 'ignores NaNs': NAN },
  max: { 'return NaNs': NAN },
  min: { 'return NaNs': NAN },
  sign: { basic: NAN, 'does not propagate NaNs': NAN, 'accepts a tensor-like object': NAN },
  'step kernel': { 'with 1d tensor and alpha': NAN, 'propagates NaNs': NAN },
  exp: { int32: DIGITS },
  tan: { 'numbers exceed float32 precision': DIGITS },
  avgPool: {
    'gradient x=[3,3,1] f=[3,3] s=1 p=explicit':
      'expects a border divided by the whole window: averages are over the pixels that exist, as in TensorFlow',
  },
  conv2dTranspose: {
    'input=8x8x8,output=4x4x8,f=8,s=1,inDepth=8,p=same vec4':
      'its sizes contradict each other: refused while compiling',
  },
  mirrorPad: { grad: MIRRORED, 'gradient with clones': MIRRORED },
  einsum: { 'nonexistent dimension throws error': 'the error also names the kernel' },
  gather: {
    'throws when index is out of bound':
      'indices have no values while compiling: ONNX Runtime refuses them in a run, but counts negative ones from the end',
  },
};
