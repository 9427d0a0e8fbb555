import type { LedgerReader } from '../pipeline/ledger/ledger.js';
import { readLedger } from '../pipeline/ledger/ledger.js';
import type { FrameRecord } from '../pipeline/ledger/records.js';
import { didYouMean } from '../pipeline/closest.js';
import { UsageError } from '../pipeline/errors.js';
import { findState } from '../pipeline/state/find-state.js';
import type { Args, Command } from './command.js';
import { text } from './command.js';
import { oneLine } from './ui.js';

/** `open`: handed on, without an outcome yet. */
const OUTCOMES = ['forecast', 'observed', 'warm-up', 'rejected', 'lost', 'open'];
const COLUMNS = [
  'series',
  'index',
  'position',
  'outcome',
  'reason',
  'at',
  'path',
  'item',
  'size',
  'mtimeNs',
  'contentHash',
] as const;
type Row = Readonly<Partial<Record<(typeof COLUMNS)[number] | 'kind', string | number>>>;

export const ledgerCommand: Command = {
  usage: 'ledger <directory>',
  onlyPrints: true,
  summary: "List what a run's ledger knows of frames, or export it",
  examples: [
    ['mesocast ledger forecasts --outcome rejected', 'the frames that could not be used, and why'],
    ['mesocast ledger forecasts --frame 120', 'all that is known of frame 120'],
    ['mesocast ledger forecasts --format csv > frames.csv', 'everything, for a spreadsheet'],
  ],
  declare: (yargs) =>
    yargs
      .positional('directory', {
        type: 'string',
        demandOption: true,
        describe: 'the output folder of the run (its --out), or its state folder',
      })
      .option('series', { type: 'string', requiresArg: true, describe: 'only this series' })
      .option('frame', { type: 'string', requiresArg: true, describe: 'only the frame with this number' })
      .option('outcome', {
        type: 'string',
        choices: OUTCOMES,
        requiresArg: true,
        describe: 'only frames that ended so; open: on their way',
      })
      .option('reason', {
        type: 'string',
        requiresArg: true,
        describe: 'only frames whose reason has this in it',
      })
      .option('format', {
        type: 'string',
        choices: ['text', 'jsonl', 'csv'],
        defaultDescription: 'text',
        requiresArg: true,
        describe: 'text for people, a JSON object a line, or CSV with a header',
      }),
  run: async (args, ui) => {
    const directory = text(args, 'directory') ?? '';
    if (directory === '') throw new UsageError('name the output folder of a run');
    const ledger = readLedger(findState(directory));
    try {
      if (ui.json && args['format'] !== undefined)
        throw new UsageError('--json prints one object: leave out --format');
      const rows = rowsOf(ledger, args);
      if (ui.json) ui.result({ frames: [...rows] }, []);
      else await print(rows, text(args, 'format') ?? 'text');
      return 0;
    } finally {
      await ledger.close();
    }
  },
};

function* rowsOf(ledger: LedgerReader, args: Args): Generator<Row> {
  const only = text(args, 'series');
  const names = ledger.seriesNames();
  if (only !== undefined && !names.includes(only))
    throw new UsageError(`there is no series "${only}"`, { hint: didYouMean(only, names) });
  const number = text(args, 'frame');
  const frame = number === undefined ? undefined : Number(number);
  if (frame !== undefined && !Number.isSafeInteger(frame))
    throw new UsageError(`--frame is "${number}": allowed is a whole number`);
  const [outcome, reason] = [text(args, 'outcome'), text(args, 'reason')];
  for (const series of only === undefined ? names : [only])
    for (const record of recordsOf(ledger, series, frame))
      if (
        (outcome === undefined || (record.outcome ?? 'open') === outcome) &&
        (reason === undefined || record.reason?.includes(reason) === true)
      )
        yield rowOf(record);
}

function* recordsOf(ledger: LedgerReader, series: string, frame: number | undefined): Generator<FrameRecord> {
  yield* frame === undefined ? ledger.frames(series) : ledger.frames(series, frame, frame);
  for (const record of ledger.duplicates(series))
    if (frame === undefined || record.index === frame) yield record;
}

const rowOf = ({ revision, at, ...record }: FrameRecord): Row => ({
  ...record,
  outcome: record.outcome ?? 'open',
  ...(at !== undefined && { at: new Date(at).toISOString() }),
  ...revision,
});

const csvCell = (value: string | number | undefined): string =>
  /[",\n\r]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value ?? '');

const formats: Readonly<Record<string, (row: Row) => string>> = {
  text: ({ series, index, outcome, position, path, item, at, reason }) => {
    const parts = [
      `${series} ${index}: ${outcome}`,
      ...(position === undefined ? [] : [`place ${position}`]),
      ...(at === undefined ? [] : [at]),
      `${path}${item === undefined ? '' : `#${item}`}`,
      ...(reason === undefined ? [] : [reason]),
    ];
    return oneLine(parts.join('  '));
  },
  jsonl: (row) => JSON.stringify(row),
  csv: (row) => COLUMNS.map((column) => csvCell(row[column])).join(','),
};

/** Line by line, no faster than the reader takes them. */
const print = async (rows: Iterable<Row>, format: string): Promise<void> => {
  const write = async (line: string): Promise<void> => {
    if (!process.stdout.write(`${line}\n`))
      await new Promise((resolve) => process.stdout.once('drain', resolve));
  };
  if (format === 'csv') await write(COLUMNS.join(','));
  const lineOf = formats[format] ?? JSON.stringify;
  for (const row of rows) await write(lineOf(row));
};
