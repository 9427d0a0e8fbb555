import { MesocastError } from '../src/pipeline/errors.js';
import { benchCompile } from './compile.js';
import { benchEngine } from './engine.js';
import { benchForecast } from './forecast.js';
import { benchFuzz } from './fuzz.js';
import { benchMemory } from './memory.js';
import { benchQuality } from './quality.js';
import { benchRollOut } from './roll-out.js';
import { formatTable, type BenchOptions, type Result } from './table.js';

const benches: Record<string, (options: BenchOptions) => Promise<Result>> = {
  forecast: benchForecast,
  engine: benchEngine,
  'roll-out': benchRollOut,
  compile: benchCompile,
  memory: benchMemory,
  fuzz: benchFuzz,
  quality: benchQuality,
};

const USAGE = `npm run bench -- [${Object.keys(benches).join('|')}] [--device cpu] [--json]`;
const refuse = (message: string): never => {
  console.error(`${message}\n  ${USAGE}`);
  process.exit(2);
};

const wanted: string[] = [];
let [device, json] = ['cpu', false];
const words = process.argv.slice(2);
for (let word = words.shift(); word !== undefined; word = words.shift()) {
  if (word === '--json') json = true;
  else if (word === '--device') device = words.shift() ?? refuse('--device needs a name');
  else if (word in benches) wanted.push(word);
  else refuse(`there is no bench or option "${word}"`);
}

const figures: Record<string, number> = {};
try {
  for (const [name, bench] of Object.entries(benches)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    const result = await bench({ device, note: (line) => console.log(line) });
    for (const table of result.tables) console.log(`${formatTable(table)}\n`);
    Object.assign(figures, result.figures);
  }
} catch (error) {
  if (!(error instanceof MesocastError)) throw error;
  refuse([error.message, ...(error.hint === undefined ? [] : [`  ${error.hint}`])].join('\n'));
}
if (json) console.log(JSON.stringify(figures));
