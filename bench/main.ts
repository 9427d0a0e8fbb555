import { benchEngine } from './engine.js';
import { benchForecast } from './forecast.js';
import { formatTable } from './table.js';

const benches = { forecast: benchForecast, engine: benchEngine };

const wanted = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const json = process.argv.includes('--json');
const unknown = wanted.find((name) => !(name in benches));
if (unknown !== undefined) {
  console.error(
    `there is no bench "${unknown}"; choose of ${Object.keys(benches).join(', ')}, or none for all`,
  );
  process.exit(2);
}

const figures: Record<string, number> = {};
for (const [name, bench] of Object.entries(benches)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const result = await bench((line) => console.log(line));
  console.log(`${formatTable(result.rows)}\n`);
  Object.assign(figures, result.figures);
}
if (json) console.log(JSON.stringify(figures));
