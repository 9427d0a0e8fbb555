import { abortOnStopSignal } from '../../src/cli/signals.js';
import { runCell, type CellTask } from './cell.js';

/** A process of its own for each cell, so that the CPU seconds that it is given are its own: task in, result out, as JSON. */
const { signal } = abortOnStopSignal();
const result = await runCell(JSON.parse(process.argv[2] ?? '{}') as CellTask, signal);
process.stdout.write(`${JSON.stringify(result ?? null)}\n`, () => process.exit(0));
