import { z } from 'zod';

/** What lies beyond the edges of a simulated plane: its other side, or its mirror image, so that nothing flows out. */
export type Boundary = 'periodic' | 'no_flux';

/** The option of a simulation. */
export const boundaryOption = (usual: Boundary) =>
  z
    .enum(['periodic', 'no_flux'])
    .default(usual)
    .describe('what lies beyond the edges: the other side, or nothing that flows');

/** For each place along an axis of `size` cells, the place before it and after it. */
export interface Neighbours {
  readonly before: Int32Array;
  readonly after: Int32Array;
}

export const neighboursOf = (size: number, boundary: Boundary): Neighbours => {
  const before = Int32Array.from({ length: size }, (_, i) => i - 1);
  const after = Int32Array.from({ length: size }, (_, i) => i + 1);
  before[0] = boundary === 'periodic' ? size - 1 : 0;
  after[size - 1] = boundary === 'periodic' ? 0 : size - 1;
  return { before, after };
};
