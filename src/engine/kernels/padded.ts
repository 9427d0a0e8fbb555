/**
 * Padded by a number, tfjs takes the height of a window, and the stride of rows, for columns as well: fewer come out than
 * there is room for, which ONNX cannot say.
 * @param length of the image with its padding
 * @throws Error when ONNX would make more of it than tfjs
 */
export const requireOutputs = (length: number, window: number, stride: number, outputs: number): void => {
  if (Math.floor((length - window) / stride) + 1 > outputs)
    throw new Error(
      'padded by a number, its window or stride is not square: give the padding as a list, [[0, 0], [top, bottom], [left, right], [0, 0]]',
    );
};
