import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { learningFolder, readChanges, type Change } from '../learning/champion/log.js';
import { requestRollback } from '../learning/champion/rollback.js';
import { isKept } from '../learning/champion/versions.js';
import { UsageError } from '../pipeline/errors.js';
import type { Command } from './command.js';
import { text } from './command.js';

const ACTIONS = ['log', 'rollback'] as const;

/** The state folder of a run, given that or its output folder. @throws UsageError */
const stateOf = (directory: string): string => {
  const found = [join(directory, 'state'), directory].find((folder) => existsSync(learningFolder(folder)));
  if (found === undefined)
    throw new UsageError(`nothing was learned in ${directory}`, {
      hint: 'name the output folder of a run (its --out), or its state folder',
    });
  return found;
};

const share = (a: number, b: number): string => (b > 0 ? (a / b).toFixed(2) : '-');

const lineOf = (change: Change): string => {
  const { at, name, hash, why, evidence } = change;
  const facts =
    evidence === undefined
      ? ''
      : `; its error over that of persistence ${share(evidence.rmse, evidence.persistence)}, of linear extrapolation ${share(evidence.rmse, evidence.linear)}` +
        (evidence.champion === undefined
          ? ''
          : `, of the one before ${share(evidence.rmse, evidence.champion)}`) +
        ` (${evidence.windows} windows, leads 1 to ${evidence.leads})`;
  return `${at}  ${hash.slice(0, 8)}  ${name}${isKept(change) ? '' : ' (no longer on disk)'}: ${why}${facts}`;
};

/** The change that is meant: by the beginning of its hash, by name, or the one before the last. @throws UsageError */
const chosen = (changes: readonly Change[], version: string | undefined): Change => {
  const last = changes.at(-1);
  const found =
    version === undefined
      ? changes.findLast(({ hash }) => hash !== last?.hash)
      : changes.findLast(({ hash, name }) => hash.startsWith(version) || name === version);
  if (found === undefined)
    throw new UsageError(
      version === undefined ? 'there is nothing to go back to' : `no version "${version}" was ever in use`,
      { hint: 'mesocast learn log lists them' },
    );
  return found;
};

export const learnCommand: Command = {
  usage: 'learn <action> <directory> [to]',
  summary: 'Show which forecasters a run has used and why, or have it go back to an earlier one',
  examples: [
    ['mesocast learn log forecasts', 'what the run that writes into forecasts has learned'],
    ['mesocast learn rollback forecasts', 'the run goes back to the forecaster before the last change'],
    ['mesocast learn rollback forecasts 1f0c', 'to the one whose hash begins like this'],
  ],
  declare: (yargs) =>
    yargs
      .positional('action', { choices: ACTIONS, demandOption: true, describe: 'log or rollback' })
      .positional('directory', {
        type: 'string',
        demandOption: true,
        describe: 'the output folder of the run (its --out), or its state folder',
      })
      .positional('to', {
        type: 'string',
        describe: 'name of a version, or the beginning of its hash; default: the one before the last change',
      }),
  run: async (args, ui) => {
    const state = stateOf(text(args, 'directory') ?? '');
    const changes = await readChanges(state);
    if (text(args, 'action') === 'log') {
      if (args['to'] !== undefined)
        throw new UsageError('`learn log` takes no version: it shows all of them', {
          hint: 'to go back to one: mesocast learn rollback',
        });
      ui.result(
        { changes },
        changes.length > 0 ? changes.map(lineOf) : ['no forecaster but the first was ever in use'],
      );
      return 0;
    }
    const change = chosen(changes, text(args, 'to'));
    if (!isKept(change))
      throw new UsageError(`${change.name} (${change.hash.slice(0, 8)}) is no longer on disk`, {
        hint: 'mesocast learn log shows which versions are',
      });
    await requestRollback(state, change.hash);
    ui.result({ to: change }, [
      `the run goes back to ${change.name} (${change.hash.slice(0, 8)}) within seconds, or when it is started again`,
    ]);
    return 0;
  },
};
