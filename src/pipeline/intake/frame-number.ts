/** The number of a frame from its file's name: the last run of digits before the ending. Undefined when there is none. */
export const frameNumber = (fileName: string): number | undefined => {
  const stem = fileName.replace(/\.[^.]*$/, '');
  const digits = /(\d+)\D*$/.exec(stem)?.[1];
  const index = Number(digits);
  return digits === undefined || !Number.isSafeInteger(index) ? undefined : index;
};
