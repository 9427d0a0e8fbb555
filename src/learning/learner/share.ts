/** Threads, and the share of the time that they work, for a share of the machine's cores: no less than a hundredth. */
export const shareOf = (budget: number, cores: number): { threads: number; busy: number } => {
  const share = Math.max(0.01, Math.min(1, budget)) * cores;
  const threads = Math.max(1, Math.ceil(share));
  return { threads, busy: share / threads };
};
