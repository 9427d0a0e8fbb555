import { appendFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { defineSink, SinkError, z } from 'mesocast';

/** A line for each forecast in a file below the run's output folder. */
export const mySink = defineSink({
  name: 'my_sink',
  summary: 'a line for each forecast',
  // Checks, defaults and `mesocast plugins` come from this schema.
  options: z.strictObject({
    file: z.string().default('my-sink.txt').describe('file name below the output folder'),
  }),
  create: ({ file }, { out }) => ({
    open: async () => {
      await mkdir(out, { recursive: true });
    },
    // Resolves when the forecast is delivered: only then is its frame done. After a crash it may come again, with the same id.
    forecast: async ({ id, series, index, frames }, signal) => {
      signal.throwIfAborted();
      // What trying again cannot mend is put aside, for `mesocast replay`; every other error is tried again.
      if (series.includes(' '))
        throw new SinkError(`a line has no place for the spaces in "${series}"`, { retryable: false });
      // Values are NaN where the frame that the forecast was issued at has a gap.
      const largest = frames.reduce((most, value) => (value > most ? value : most), -Infinity);
      await appendFile(join(out, file), `${id} ${series} ${index} ${largest}\n`);
    },
    close: async () => {},
  }),
});
