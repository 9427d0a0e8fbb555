import { StartupError } from '../errors.js';

/**
 * A secret of a sink, from the environment variable that its options name: configs and the state folder hold no secrets.
 * @throws StartupError when the variable is not set
 */
export const secretFrom = (variable: string | undefined): string | undefined => {
  if (variable === undefined) return undefined;
  const value = process.env[variable];
  if (value !== undefined && value !== '') return value;
  throw new StartupError(`the environment variable ${variable} is not set`, {
    hint: 'set it for the process that runs mesocast',
  });
};
