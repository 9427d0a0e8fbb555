import { z } from 'zod';
import { defineSimulation } from '../../src/pipeline/plugins/plugin.js';
import { streamSeed, uniformNumbers } from '../../src/pipeline/random.js';
import { boundaryOption, neighboursOf } from '../../src/simulation/boundary.js';

const options = z.strictObject({
  height: z.number().int().min(16).default(64).describe('rows of the grid'),
  width: z.number().int().min(16).default(64).describe('columns of the grid'),
  boundary: boundaryOption('no_flux'),
  seed: z.number().int().default(0).describe('draws orientation, nucleus and whatever below is not given'),
  symmetry: z
    .union([z.literal(4), z.literal(6)])
    .optional()
    .describe('j, arms of the crystal; default: 4 or 6 by seed'),
  orientation: z.number().optional().describe('theta0 in radians; default: by seed'),
  latentHeat: z.number().positive().optional().describe('K, dimensionless; default: 1.6 to 2.0 by seed'),
  anisotropy: z.number().min(0).max(0.2).default(0.04).describe('delta, strength of the anisotropy'),
  nuclei: z.number().int().min(1).default(1).describe('number of seeds of crystal'),
  stepsPerFrame: z.number().int().positive().default(15).describe('time steps between frames, of 1e-4 each'),
});

/** Kobayashi's parameters (section 3 of the paper); space and time are dimensionless. */
const SPACING = 0.03;
const TIME_STEP = 1e-4;
const TAU = 3e-4;
const EPSILON = 0.01;
const ALPHA = 0.9;
const GAMMA = 10;
const MELTING = 1;
const NOISE = 0.01;

/**
 * Dendritic growth of a pure substance into its undercooled melt: R. Kobayashi, Physica D 63 (1993) 410-423, eqs. 3-6.
 *   tau phi_t = div(eps^2 grad phi) - d/dx(eps eps' phi_y) + d/dy(eps eps' phi_x) + phi (1 - phi) (phi - 1/2 + m)
 *   T_t = laplace T + K phi_t,   m = alpha/pi atan(gamma (Te - T)),   eps = eps0 (1 + delta cos(j (theta - theta0)))
 * Frames are the order parameter phi: 1 crystal, 0 melt, [H, W, 1]. Explicit Euler.
 */
export const dendrite = defineSimulation({
  name: 'dendrite',
  summary: 'dendritic crystal growth (Kobayashi 1993), order parameter 0 to 1',
  options,
  create: (settings) => {
    const { height, width, boundary, seed, symmetry, orientation, latentHeat } = settings;
    const { anisotropy, nuclei, stepsPerFrame } = settings;
    const random = uniformNumbers(streamSeed(seed, 0));
    const arms = symmetry ?? (random() < 0.5 ? 4 : 6);
    const theta0 = orientation ?? random() * 2 * Math.PI;
    const heat = latentHeat ?? 1.6 + 0.4 * random();
    const cells = height * width;
    const rows = neighboursOf(height, boundary);
    const columns = neighboursOf(width, boundary);
    const phi = new Float32Array(cells);
    const temperature = new Float32Array(cells);
    // Per cell: phi_x, phi_y, eps^2 and eps eps', all at the cell's centre.
    const [gradX, gradY, square, mixed] = Array.from({ length: 4 }, () => new Float32Array(cells)) as [
      Float32Array,
      Float32Array,
      Float32Array,
      Float32Array,
    ];

    for (let n = 0; n < nuclei; n++) {
      const spread = nuclei === 1 ? 0.2 : 0.7;
      const row = height * (0.5 + spread * (random() - 0.5));
      const column = width * (0.5 + spread * (random() - 0.5));
      const radius = 2.5 + 1.5 * random();
      for (let k = 0; k < cells; k++) {
        const distance = Math.hypot(Math.floor(k / width) - row, (k % width) - column);
        phi[k] = Math.max(phi[k] as number, 0.5 * (1 - Math.tanh(distance - radius)));
      }
    }

    const gradients = (): void => {
      for (let r = 0; r < height; r++) {
        const [up, down] = [rows.before[r]! * width, rows.after[r]! * width];
        for (let c = 0; c < width; c++) {
          const k = r * width + c;
          const left = r * width + columns.before[c]!;
          const right = r * width + columns.after[c]!;
          const px = ((phi[right] as number) - (phi[left] as number)) / (2 * SPACING);
          const py = ((phi[down + c] as number) - (phi[up + c] as number)) / (2 * SPACING);
          const angle = px * px + py * py < 1e-12 ? 0 : arms * (Math.atan2(py, px) - theta0);
          const epsilon = EPSILON * (1 + anisotropy * Math.cos(angle));
          gradX[k] = px;
          gradY[k] = py;
          square[k] = epsilon * epsilon;
          mixed[k] = epsilon * -EPSILON * anisotropy * arms * Math.sin(angle);
        }
      }
    };

    const change = new Float32Array(cells);
    const step = (): void => {
      gradients();
      const h = 1 / (2 * SPACING);
      const h2 = 1 / (SPACING * SPACING);
      for (let r = 0; r < height; r++) {
        const [upRow, downRow] = [rows.before[r]! * width, rows.after[r]! * width];
        for (let c = 0; c < width; c++) {
          const k = r * width + c;
          const [l, rt] = [r * width + columns.before[c]!, r * width + columns.after[c]!];
          const [u, d] = [upRow + c, downRow + c];
          const p = phi[k] as number;
          const e = square[k] as number;
          // div(eps^2 grad phi) with eps^2 at the faces: conservative, and zero at edges that nothing flows through.
          const diffusion =
            0.5 *
            h2 *
            ((e + (square[rt] as number)) * ((phi[rt] as number) - p) +
              (e + (square[l] as number)) * ((phi[l] as number) - p) +
              (e + (square[d] as number)) * ((phi[d] as number) - p) +
              (e + (square[u] as number)) * ((phi[u] as number) - p));
          const turning =
            h * ((mixed[d] as number) * (gradX[d] as number) - (mixed[u] as number) * (gradX[u] as number)) -
            h * ((mixed[rt] as number) * (gradY[rt] as number) - (mixed[l] as number) * (gradY[l] as number));
          const drive = (ALPHA / Math.PI) * Math.atan(GAMMA * (MELTING - (temperature[k] as number)));
          const noise = NOISE * (random() - 0.5);
          change[k] = (TIME_STEP / TAU) * (diffusion + turning + p * (1 - p) * (p - 0.5 + drive + noise));
        }
      }
      diffuseHeat();
    };

    const cooled = new Float32Array(cells);
    const diffuseHeat = (): void => {
      const h2 = TIME_STEP / (SPACING * SPACING);
      for (let r = 0; r < height; r++) {
        const [upRow, downRow] = [rows.before[r]! * width, rows.after[r]! * width];
        for (let c = 0; c < width; c++) {
          const k = r * width + c;
          const t = temperature[k] as number;
          const around =
            (temperature[r * width + columns.before[c]!] as number) +
            (temperature[r * width + columns.after[c]!] as number) +
            (temperature[upRow + c] as number) +
            (temperature[downRow + c] as number);
          cooled[k] = t + h2 * (around - 4 * t) + heat * (change[k] as number);
        }
      }
      temperature.set(cooled);
      for (let k = 0; k < cells; k++) phi[k] = (phi[k] as number) + (change[k] as number);
    };

    let started = false;
    return {
      shape: [height, width, 1],
      range: [0, 1],
      // Not the orientation: what networks learn from is flipped and turned, which such a scalar would not be.
      parameters: {
        symmetry: arms,
        latentHeat: heat,
        anisotropy,
        nuclei,
        stepsPerFrame,
      },
      next: () => {
        if (started) for (let n = 0; n < stepsPerFrame; n++) step();
        started = true;
        return phi.slice();
      },
    };
  },
});
