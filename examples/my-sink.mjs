// A sink of your own: a CSV line for each forecast, with the mean value that is expected at the last lead.
//   mesocast attach DIR --sink ./examples/my-sink.mjs
import { appendFile, mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { defineSink, z } from 'mesocast';

export const growth = defineSink({
  name: 'growth',
  summary: 'a CSV line for each forecast: the mean value expected at the last lead',
  // Defaults, checks and `mesocast plugins` come from this schema.
  options: z.strictObject({
    file: z.string().default('growth.csv').describe('file name below the output folder'),
  }),
  create: ({ file }, { out }) => {
    const path = join(out, file);
    return {
      open: async () => {
        await mkdir(out, { recursive: true });
        const isNew = await stat(path).then(
          () => false,
          () => true,
        );
        if (isNew) await appendFile(path, 'series,index,lead,mean\n');
      },
      // Resolves when the forecast is delivered; a rejection is retried, unless its `retryable` is false.
      // After a crash a forecast may come twice, with the same `id`.
      forecast: async ({ series, index, horizon, frames }, signal) => {
        signal.throwIfAborted();
        const last = frames.subarray(frames.length - frames.length / horizon);
        const known = last.filter((value) => !Number.isNaN(value)); // NaN: the frame had a gap there
        const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
        await appendFile(path, `${series},${index},${horizon},${mean}\n`);
      },
      close: async () => {},
    };
  },
});
