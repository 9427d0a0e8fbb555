/** Undoes what was done, last first; what cannot be undone does not keep the rest from being undone. */
export const cleanup = () => {
  const steps: (() => unknown)[] = [];
  return {
    add: (step: () => unknown): void => void steps.push(step),
    run: async (): Promise<void> => {
      for (const step of steps.reverse()) {
        try {
          await step();
        } catch {
          // it was being shut down anyway
        }
      }
      steps.length = 0;
    },
  };
};
