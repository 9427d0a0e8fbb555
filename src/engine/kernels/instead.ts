const IN_PARTS = 'tensors of complex numbers are not compiled: carry real and imaginary parts as two tensors';
const FOURIER = `${IN_PARTS}; a Fourier transform of a fixed size is a matrix product (tf.matMul) with its cosines and sines`;
const TEXT = 'text is not compiled: do it outside, on what goes in or comes out';
const SIZES = 'how much comes out depends on values: do it outside, on what the program returns';
const SPARSE =
  'sparse tensors are not compiled: use dense ones, with tf.gather, tf.scatterND or tf.unsortedSegmentSum';
const SAMPLED = 'take the rows with tf.gather or tf.slice and use tf.image.resizeBilinear';
const COUNTED = 'sum tf.oneHot(x, size) over its rows (tf.sum)';

/** What to write in place of tfjs kernels that have no rule. */
export const instead: Readonly<Record<string, string>> = {
  ...{ Complex: IN_PARTS, ComplexAbs: IN_PARTS, Real: IN_PARTS, Imag: IN_PARTS, FFT: FOURIER, IFFT: FOURIER },
  ...{ StaticRegexReplace: TEXT, StringNGrams: TEXT, StringSplit: TEXT, StringToHashBucketFast: TEXT },
  ...{ RaggedGather: SIZES, RaggedRange: SIZES, RaggedTensorToTensor: SIZES, Unique: SIZES },
  ...{ NonMaxSuppressionV3: SIZES, NonMaxSuppressionV4: SIZES, NonMaxSuppressionV5: SIZES },
  ...{
    SparseFillEmptyRows: SPARSE,
    SparseReshape: SPARSE,
    SparseSegmentMean: SPARSE,
    SparseSegmentSum: SPARSE,
  },
  ...{ CropAndResize: SAMPLED, RotateWithOffset: SAMPLED, Transform: SAMPLED },
  ...{ Bincount: COUNTED, DenseBincount: COUNTED },
  BitwiseAnd: 'use tf.mod and tf.floorDiv, or tf.logicalAnd on truth values',
  BroadcastArgs: 'shapes are known while compiling: work with tensor.shape',
  Dilation2D: 'use tf.maxPool, on the image with the structuring element added where it is not flat',
  Dilation2DBackpropFilter: 'use tf.maxPool in place of tf.dilation2d',
  Dilation2DBackpropInput: 'use tf.maxPool in place of tf.dilation2d',
  Draw: 'draw outside, on what the program returns',
  FromPixels: 'read images outside and pass them in as inputs',
  MaxPoolWithArgmax: 'use tf.maxPool, and tf.argMax where the place is wanted',
  Multinomial:
    'draw uniform numbers outside, pass them in as an input, and compare them with tf.cumsum of the probabilities',
  SparseToDense: 'use tf.scatterND, or tf.tensorScatterUpdate where there is a default value',
  SearchSorted: 'count with tf.sum(tf.less(sorted, value)), or do it outside',
};
