/** Tells people the first thing that there is to say about each matter; what is undefined says nothing. */
export const tellOnce = (log: (message: string) => void) => {
  const told = new Set<string>();
  return (about: string, message: () => string | undefined): void => {
    const text = told.has(about) ? undefined : message();
    if (text === undefined) return;
    told.add(about);
    log(text);
  };
};
