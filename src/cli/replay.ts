import { UsageError } from '../pipeline/errors.js';
import { replay } from '../pipeline/replay.js';
import { setSinkOption } from './attach.js';
import type { Command } from './command.js';
import { text, texts } from './command.js';
import { abortOnStopSignal } from './signals.js';

export const replayCommand: Command = {
  usage: 'replay <directory>',
  summary: 'Deliver what a sink refused, or did not get, in a run that is over',
  examples: [
    ['mesocast replay forecasts', 'all that waits in the state of the run that wrote into forecasts'],
    [
      'mesocast replay forecasts --sink webhook --set webhook.url=https://example.org/new',
      'only what the webhook did not take, to another address',
    ],
  ],
  declare: (yargs) =>
    yargs
      .positional('directory', {
        type: 'string',
        demandOption: true,
        describe: 'the output folder of the run (its --out), or its state folder',
      })
      .option('sink', {
        type: 'string',
        requiresArg: true,
        describe: 'only this sink, by its name in the run',
      })
      .option('set', {
        type: 'array',
        string: true,
        requiresArg: true,
        describe: 'an option that is another one now: --set webhook.url=URL; repeat for more',
      }),
  run: async (args, ui) => {
    const directory = text(args, 'directory') ?? '';
    if (directory === '') throw new UsageError('name the output folder of a run');
    const sink = text(args, 'sink');
    const stop = abortOnStopSignal();
    try {
      const sinks = await replay({
        directory,
        ...(sink !== undefined && { sink }),
        settings: (before) => texts(args, 'set').reduce(setSinkOption, before),
        notice: (message) => ui.warn(message),
        signal: stop.signal,
      });
      const lines = Object.entries(sinks).map(
        ([name, { delivered, left }]) => `${name}: ${delivered} delivered${left > 0 ? `, ${left} left` : ''}`,
      );
      ui.result({ sinks }, lines.length > 0 ? lines : ['nothing waits to be delivered']);
      return Object.values(sinks).some(({ left }) => left > 0) ? 4 : 0;
    } finally {
      stop.release();
    }
  },
};
