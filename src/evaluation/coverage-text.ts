/** A share as people read it, with its standard error where it has one: "89.9 ± 0.8 %"; "none" where there is no share. */
export const coverageText = (share: number | undefined, error?: number): string => {
  if (share === undefined) return 'none';
  const about = error === undefined ? '' : ` ± ${(100 * error).toFixed(1)}`;
  return `${(100 * share).toFixed(1)}${about} %`;
};
