#!/usr/bin/env node
import { inspect } from 'node:util';
import yargs from 'yargs';
import type { Argv } from 'yargs';
import { hideBin } from 'yargs/helpers';
import { closest, didYouMean } from '../pipeline/closest.js';
import { exitCodeOf, hintOf, isOurs, MesocastError, messageOf, UsageError } from '../pipeline/errors.js';
import { attachCommand } from './attach.js';
import { calibrateCommand } from './calibrate.js';
import type { Args, Command } from './command.js';
import { demoCommand } from './demo.js';
import { doctorCommand } from './doctor.js';
import { evaluateCommand } from './evaluate.js';
import { exportCommand } from './export.js';
import { forecastCommand } from './forecast.js';
import { importCommand } from './import.js';
import { learnCommand } from './learn.js';
import { ledgerCommand } from './ledger.js';
import { pluginsCommand } from './plugins.js';
import { replayCommand } from './replay.js';
import { simulateCommand } from './simulate.js';
import { statusCommand } from './status.js';
import { trainCommand } from './train.js';
import { createUi } from './ui.js';
import { version } from './version.js';

const commands: readonly Command[] = [
  attachCommand,
  forecastCommand,
  simulateCommand,
  trainCommand,
  evaluateCommand,
  calibrateCommand,
  exportCommand,
  importCommand,
  doctorCommand,
  statusCommand,
  ledgerCommand,
  replayCommand,
  learnCommand,
  pluginsCommand,
  demoCommand,
];
const nameOf = (command: Command): string => command.usage.split(' ')[0] ?? '';

/** A command whose work is done has this long to let go of what it holds before the process ends anyway. */
const LINGER_MS = 5_000;

/** The parser's complaint in our words, with what was probably meant. */
const usageError = async (
  error: Error,
  line: readonly string[],
  help: () => Promise<string>,
): Promise<UsageError> => {
  const [first = ''] = line;
  const command = commands.find((candidate) => nameOf(candidate) === first);
  if (!command && !first.startsWith('-')) {
    return first === ''
      ? new UsageError('name a command', { hint: 'see mesocast --help' })
      : new UsageError(`unknown command ${first}`, { hint: didYouMean(first, commands.map(nameOf)) });
  }
  const hint = `see mesocast ${command ? `${first} ` : ''}--help`;
  if (error.message.startsWith('Not enough non-option arguments') && command) {
    return new UsageError(`something is missing: mesocast ${command.usage}`, { cause: error, hint });
  }
  const [, valueless] = /^Not enough arguments following: (\S+)$/.exec(error.message) ?? [];
  if (valueless !== undefined) return new UsageError(`--${valueless} lacks a value`, { cause: error, hint });
  const [, words] = /^Unknown (?:arguments?|commands?): (.*)$/s.exec(error.message) ?? [];
  const [word] = (words ?? '').split(', ');
  if (word === undefined || word === '')
    return new UsageError(error.message.replaceAll(/\s*\n\s*/g, ' '), { cause: error, hint });
  if (!line.some((arg) => arg.startsWith('-') && arg.includes(word)))
    return new UsageError(`unexpected argument ${word}`, { hint });
  const match = closest(
    word,
    [...(await help()).matchAll(/--([a-z][a-z-]+)/g)].map(([, name]) => name ?? ''),
  );
  return new UsageError(`unknown option --${word}`, {
    hint: match === undefined ? hint : `did you mean --${match}?`,
  });
};

/** `attach "$UNSET"` would follow the current folder. @throws UsageError */
const requireFull = (args: Args): void => {
  const isEmpty = (value: unknown): boolean => value === '' || (Array.isArray(value) && value.some(isEmpty));
  const [name] = Object.entries(args).find(([, value]) => isEmpty(value)) ?? [];
  if (name !== undefined)
    throw new UsageError(`${name} is "", an empty argument`, {
      hint: 'leave it out, or set the variable that it comes from',
    });
};

const report = (error: unknown, json: boolean, debug: boolean): void => {
  const hint = hintOf(error);
  const message = messageOf(error).replaceAll(/\s*\n\s*/g, ' ');
  if (json) {
    const tag = isOurs(error) ? error.tag : 'internal';
    process.stdout.write(
      `${JSON.stringify({ error: { tag, message, ...(hint !== undefined && { hint }) } })}\n`,
    );
  }
  process.stderr.write(`mesocast: ${message}${hint === undefined ? '' : ` (${hint})`}\n`);
  if (debug) process.stderr.write(`${inspect(error, { depth: 4 })}\n`);
};

/** Runs one command line and returns the process's exit code. */
const main = async (line: readonly string[]): Promise<number> => {
  // Errors of the parser itself come before it could tell us these.
  let json = line.includes('--json');
  let debug = line.includes('--debug');
  const state = { parsed: false, code: 0 };
  let help = async (): Promise<string> => '';

  const parser = yargs([...line])
    .scriptName('mesocast')
    .usage(
      '$0 <command> [options]\n\nAttaches to a directory that frames appear in and keeps forecasting what comes next.',
    )
    .parserConfiguration({ 'greedy-arrays': false, 'strip-aliased': true })
    .option('json', { type: 'boolean', describe: 'print one JSON object for machines', global: true })
    .option('debug', { type: 'boolean', describe: 'print stack traces', global: true })
    .version(version())
    .help()
    .alias('help', 'h')
    .locale('en')
    .wrap(Math.min(110, process.stdout.columns || 110))
    .strict()
    .demandCommand(1, 'name a command')
    .epilogue(
      'Exit codes: 0 done, 1 failed, 2 wrong usage, 3 cannot start, 4 a sink failed, 130 interrupted twice. More: docs/cli.md',
    )
    .exitProcess(false)
    .fail(false);

  for (const command of commands) {
    const builder = async (inner: Argv): Promise<Argv> => {
      const declared = await command.declare(inner.usage(`$0 ${command.usage}\n\n${command.summary}`), line);
      for (const [example, what] of command.examples) declared.example(example, what);
      help = () => declared.getHelp();
      return declared;
    };
    const handler = async (args: Args): Promise<void> => {
      state.parsed = true;
      requireFull(args);
      onlyPrints = command.onlyPrints === true;
      [json, debug] = [args['json'] === true, args['debug'] === true];
      state.code = (await command.run(args, createUi(json))) ?? 0;
    };
    parser.command(command.usage, command.summary, builder, handler);
  }

  try {
    await parser.parseAsync();
    return state.code;
  } catch (thrown) {
    // What the parser throws is not marked as such; our own errors are.
    const fromParser = !state.parsed && thrown instanceof Error && !(thrown instanceof MesocastError);
    const error = fromParser ? await usageError(thrown, line, help) : thrown;
    report(error, json, debug);
    return exitCodeOf(error);
  }
};

/** The command that runs has nothing to do but to print. */
let onlyPrints = false;
// Nobody reads any more what is printed. `mesocast plugins | head` has done its work; what is under way goes on.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    if (stream === process.stdout && onlyPrints) process.exit(0);
  });

// A plugin that throws where nobody can catch it (in a timer, a forgotten promise) ends the run, whatever it threw, as a
// bug does: the ledger takes it, and the next start goes on.
process.on('uncaughtException', (error) => {
  report(error, process.argv.includes('--json'), process.argv.includes('--debug'));
  process.exit(1);
});

process.exitCode = await main(hideBin(process.argv));
setTimeout(() => process.exit(), LINGER_MS).unref();
