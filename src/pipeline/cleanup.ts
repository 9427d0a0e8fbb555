import { messageOf } from './errors.js';

/**
 * Undoes what was done, last first; what cannot be undone is told, and does not keep the rest from being undone.
 */
export const cleanup = (notice: (message: string) => void) => {
  const steps: (() => unknown)[] = [];
  return {
    add: (step: () => unknown): void => void steps.push(step),
    run: async (): Promise<void> => {
      for (const step of steps.reverse()) {
        try {
          await step();
        } catch (error) {
          notice(`while closing: ${messageOf(error)}`);
        }
      }
      steps.length = 0;
    },
  };
};
