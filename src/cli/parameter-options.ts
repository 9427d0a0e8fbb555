import type { Argv } from 'yargs';
import { UsageError } from '../pipeline/errors.js';
import type { ParameterValues } from '../pipeline/parameters.js';
import type { Args } from './command.js';
import { texts } from './command.js';

/** `--parameter`: scalars of the runs, for a forecaster that is told some. */
export const declareParameters = (yargs: Argv): Argv =>
  yargs.option('parameter', {
    type: 'array',
    string: true,
    requiresArg: true,
    describe:
      'a scalar of the runs that the forecaster is told: --parameter temperature=900; repeat for more; default: what a parameters.json beside the frames says',
  });

/** `NAME`, or `NAME=LOW:HIGH`: scalars that a network is to be told. @throws UsageError */
export const toldParameters = (args: Args): { name: string; low?: number; high?: number }[] => {
  const told = texts(args, 'parameter').map((text) => {
    const [, name, ...ends] = /^([^=]+)(?:=([^:]+):([^:]+))?$/.exec(text) ?? [];
    const [low, high] = ends.map((end) => (end === undefined ? undefined : Number(end)));
    if (name === undefined || (low !== undefined && !(low < (high ?? NaN))))
      throw new UsageError(`--parameter ${text}: not of the form NAME or NAME=LOW:HIGH, HIGH the larger`, {
        hint: 'for example --parameter temperature, or --parameter temperature=800:1200; values are in the parameters.json of each series',
      });
    return { name, ...(low !== undefined && high !== undefined && { low, high }) };
  });
  const twice = told.find(({ name }, k) => told.findIndex((one) => one.name === name) < k);
  if (twice !== undefined) throw new UsageError(`--parameter ${twice.name} is given twice`);
  return told;
};

/** `NAME=VALUE`, each once. @throws UsageError */
export const parametersOf = (args: Args): ParameterValues => {
  const values: Record<string, number> = {};
  for (const text of texts(args, 'parameter')) {
    const [, name = '', value = ''] = /^([^=]+)=(.+)$/.exec(text) ?? [];
    if (name === '' || !Number.isFinite(Number(value)))
      throw new UsageError(`--parameter ${text}: not of the form NAME=VALUE, VALUE a number`, {
        hint: 'for example --parameter temperature=900',
      });
    if (Object.hasOwn(values, name)) throw new UsageError(`--parameter ${name} is given twice`);
    values[name] = Number(value);
  }
  return values;
};
