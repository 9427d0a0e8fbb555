/**
 * Tells people the first thing that there is to say about each matter. A message that takes work to find out is given as a
 * function; undefined says nothing.
 */
export const tellOnce = (log: (message: string) => void) => {
  const told = new Set<string>();
  return (about: string, message: string | (() => string | undefined)): void => {
    if (told.has(about)) return;
    const text = typeof message === 'string' ? message : message();
    if (text === undefined) return;
    told.add(about);
    log(text);
  };
};
