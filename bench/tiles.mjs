// What tiles lose at their edges: node bench/tiles.mjs FORECASTER [SIMULATION], after npm run build.
import { openEngine } from '../dist/src/engine/index.js';
import { loadForecaster } from '../dist/src/forecaster/folder.js';
import { createRunner } from '../dist/src/forecaster/programs.js';
import { tiled } from '../dist/src/forecaster/tiles.js';
import { createPlugin } from '../dist/src/pipeline/plugins/registry.js';
const [name, sim, horizon] = [
  process.argv[2] ?? 'dendrite',
  process.argv[3] ?? process.argv[2] ?? 'dendrite',
  50,
];
const engine = await openEngine('cpu', 1);
const f = await loadForecaster(name);
const periodic = f.network.shape.boundary === 'periodic';
const side = 192;
const s = await createPlugin('simulation', sim, { height: side, width: side, seed: 5 }, undefined);
const [low, high] = f.settings.range ?? s.range;
for (let k = 0; k < 20; k++) s.next();
const frames = Array.from({ length: 11 }, () => s.next().map((v) => (v - low) / (high - low)));
const roll = async (r) => {
  let state;
  for (const [k, frame] of frames.entries()) {
    const [n] = await r.observe([side, side, 1], [{ frame, previous: frames[Math.max(0, k - 1)], state }]);
    state = n;
  }
  const h = await r.rollOut(
    [side, side, 1],
    [{ frame: frames.at(-1), previous: frames.at(-2), state }],
    horizon,
  );
  return (await engine.read(h)).data;
};
const r = createRunner(f, engine);
const a = await roll(r);
const n = side * side;
for (const halo of [8, 16, 32, 48]) {
  const b = await roll(tiled(r, { tile: 128, halo, periodic, latentStride: f.network.encoder.stride }));
  const at = (l) => {
    let m = 0,
      q = 0,
      p = 0;
    for (let i = (l - 1) * n; i < l * n; i++) {
      const d = Math.abs(a[i] - b[i]);
      m = Math.max(m, d);
      q += d * d;
      p += (a[i] - frames.at(-1)[i % n]) ** 2;
    }
    return `${l}: max ${m.toFixed(4)} rms ${Math.sqrt(q / n).toExponential(1)} (change ${Math.sqrt(p / n).toFixed(3)})`;
  };
  console.log(name, 'halo', halo, [1, 10, 20, 50].map(at).join('  '));
}
await engine.dispose();
