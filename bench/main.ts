import { MesocastError } from '../src/pipeline/errors.js';
import { benchCompile } from './compile.js';
import { benchEngine } from './engine.js';
import { benchFaults } from './faults.js';
import { benchForecast } from './forecast.js';
import { benchFuzz } from './fuzz.js';
import { benchLaws } from './laws.js';
import { benchLive } from './live.js';
import { benchLoad } from './load.js';
import { benchMemory } from './memory.js';
import { benchObserving } from './observing.js';
import { benchPredictors } from './predictors.js';
import { benchQuality } from './quality.js';
import { benchRollOut } from './roll-out.js';
import { benchStreaming } from './streaming.js';
import { formatTable, type BenchOptions, type Result } from './table.js';
import { benchTiles } from './tiles.js';
import { benchTraining } from './training.js';

type Bench = (options: BenchOptions) => Promise<Result>;
/** What is run when nothing is named. */
const speeds: Record<string, Bench> = {
  forecast: benchForecast,
  engine: benchEngine,
  'roll-out': benchRollOut,
  compile: benchCompile,
};
const benches: Record<string, Bench> = {
  ...speeds,
  memory: benchMemory,
  fuzz: benchFuzz,
  laws: benchLaws,
  quality: benchQuality,
  predictors: benchPredictors,
  live: benchLive,
  faults: benchFaults,
  load: benchLoad,
  observing: benchObserving,
  streaming: benchStreaming,
  tiles: benchTiles,
  training: benchTraining,
};

const USAGE = `npm run bench -- [${Object.keys(benches).join('|')}] [--device cpu] [--json] [--system NAME] [--first-seed N] [--budget SECONDS] [--quick] [--part NAME]`;
const refuse = (message: string): never => {
  console.error(`${message}\n  ${USAGE}`);
  process.exit(2);
};

const wanted: string[] = [];
let [device, json, quick] = ['cpu', false, false];
let part: string | undefined;
const numbers: { firstSeed?: number; budget?: number } = {};
const systems: string[] = [];
const words = process.argv.slice(2);
for (let word = words.shift(); word !== undefined; word = words.shift()) {
  if (word === '--json') json = true;
  else if (word === '--quick') quick = true;
  else if (word === '--part') part = words.shift() ?? refuse('--part needs a name');
  else if (word === '--device') device = words.shift() ?? refuse('--device needs a name');
  else if (word === '--system') systems.push(words.shift() ?? refuse('--system needs a name'));
  else if (word === '--first-seed' || word === '--budget') {
    const value = Number(words.shift());
    if (!Number.isSafeInteger(value)) refuse(`${word} needs a whole number`);
    numbers[word === '--budget' ? 'budget' : 'firstSeed'] = value;
  } else if (word in benches) wanted.push(word);
  else refuse(`there is no bench or option "${word}"`);
}

const figures: Record<string, number> = {};
try {
  for (const [name, bench] of Object.entries(wanted.length > 0 ? benches : speeds)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    const result = await bench({
      device,
      systems,
      firstSeed: numbers.firstSeed,
      budget: numbers.budget,
      quick,
      part,
      note: (line) => console.log(line),
    });
    for (const table of result.tables) console.log(`${formatTable(table)}\n`);
    Object.assign(figures, result.figures);
  }
} catch (error) {
  if (!(error instanceof MesocastError)) throw error;
  refuse([error.message, ...(error.hint === undefined ? [] : [`  ${error.hint}`])].join('\n'));
}
if (json) console.log(JSON.stringify(figures));
