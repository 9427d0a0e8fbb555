import { z } from 'zod';
import { SYMMETRIES } from '../../forecaster/symmetries.js';
import type { PhysicalTime, Region } from '../frame.js';
import type { Start } from '../intake/start-at.js';
import { filesShape, pathSchema, rootOptions, rootSchema } from './root-options.js';

/** A sink as a config names it: `jsonl`, `./my-sink.mjs`, `my-package`, or an object with what is to be known of it. */
const sinkSchema = z
  .union([
    z.string(),
    z.strictObject({
      name: z.string(),
      as: z
        .string()
        .regex(/^[A-Za-z0-9][\w.-]*$/, 'letters, digits, ".", "-" and "_"')
        .optional()
        .describe('what it is called in messages and in the state folder'),
      options: z.record(z.string(), z.unknown()).default({}),
      required: z.boolean().optional(),
      policy: z.enum(['block', 'drop_oldest', 'spill']).optional(),
      queue: z.number().int().positive().default(4),
      diskBytes: z
        .number()
        .int()
        .positive()
        .default(10 * 2 ** 30),
      startup: z.enum(['fail', 'retry']).default('fail'),
    }),
  ])
  .transform((given, context) => {
    const sink = typeof given === 'string' ? sinkDefaults(given) : given;
    const policy = sink.policy ?? (sink.required === false ? 'drop_oldest' : 'block');
    if (sink.required !== undefined && sink.required !== (policy !== 'drop_oldest'))
      context.issues.push({
        code: 'custom',
        input: given,
        path: ['policy'],
        message: sink.required
          ? 'a sink that is required cannot drop: block or spill'
          : 'a sink that is not required does not hold up the run: drop_oldest, or leave out required',
      });
    return { ...sink, policy };
  });
const sinkDefaults = (name: string) => ({
  name,
  as: undefined,
  options: {},
  required: undefined,
  policy: undefined,
  queue: 4,
  diskBytes: 10 * 2 ** 30,
  startup: 'fail' as const,
});

const seconds = z.number().nonnegative();
/** Node's timers reach no further than 24 days: beyond they fire at once. */
const timer = seconds.max(86_400);
const count = z.number().int().positive();

/** Low and high, of all channels or of each: 0 1 300 400. */
export const rangeSchema = z
  .tuple([z.number(), z.number()], z.number())
  .refine(({ length }) => length % 2 === 0, 'a low and a high for each channel')
  .refine(
    (range) => range.every((high, k) => k % 2 === 0 || high > range[k - 1]!),
    'the second must be larger',
  );

/** For descriptions of `ensemble`. */
export const MEMBERS =
  'the average of so many members, each the forecaster seen through a symmetry (flips, turns; shifts where periodic, without them at most eight, or four of frames that are not square)';

const folders = {
  directory: pathSchema
    .optional()
    .describe('the folder that frames appear in; folders below it are series of their own'),
  roots: z
    .array(rootSchema)
    .min(1)
    .optional()
    .describe(
      'several such folders: paths, or { directory, as, include, ignore, pattern, doneMarker, atomic, links, watch } for settings of their own',
    ),
  out: pathSchema.default('mesocast-out').describe('where sinks write'),
  state: pathSchema.optional().describe('where the ledger lives; default: OUT/state'),
};

const forecasters = {
  forecaster: z
    .string()
    .optional()
    .describe(
      'a forecaster folder, or the name of one that ships with mesocast; default: the one that ships and does best on the first frames, if one is better than the damped trend',
    ),
  learn: z
    .enum(['off', 'adapt', 'scratch'])
    .optional()
    .describe(
      'learn from the frames as they come, in a process of its own; adapt: beginning with the forecaster, or where none is given with one that ships if it fits or soon learns to, scratch: with a new one; off: never; default: adapt, but off with an ensemble or intervals, which are of the forecaster as it is',
    ),
  learnBudget: z
    .string()
    .regex(/^(100|[1-9]\d?(\.\d+)?|0\.\d*[1-9]\d*)%$/, 'a share of the cores, such as 50%')
    .default('50%')
    .describe('share of the cores that learning may take'),
  symmetries: z
    .enum(SYMMETRIES)
    .optional()
    .describe(
      'what frames are flipped and turned by when they are learned from: what the physics of the runs does not change under (docs/training.md); default: those of the forecaster, or all',
    ),
  device: z
    .string()
    .default('auto')
    .describe(
      'auto, cpu, cuda, webgpu, tensorflow, ... (see `mesocast doctor`), or several in order of preference: webgpu,cpu',
    ),
  threads: count.optional().describe('CPU threads for the engine; default: all cores'),
};

const forecasts = {
  context: z.number().int().min(2).default(10).describe('frames a forecast stands on'),
  horizon: count.default(50).describe('leads to forecast'),
  stride: count.default(1).describe('frames per model step: lead l is l * stride frames ahead'),
  ensemble: count
    .optional()
    .describe(
      `with a forecaster: forecasts are ${MEMBERS}, and carry their spread; default: one for each forecaster of the folder, with --interval as many as it is calibrated for`,
    ),
  lagged: z
    .boolean()
    .optional()
    .describe(
      'with a forecaster: the spread that forecasts carry is their distance from the forecast made one frame earlier, not the deviation of the members; default: with --interval as the forecaster is calibrated, else no',
    ),
  interval: z
    .number()
    .optional()
    .describe(
      'with a forecaster: forecasts carry intervals that cover the truth at this level, one of 0.1, 0.2, ... 0.9, 0.95, 0.99 (see `mesocast calibrate`)',
    ),
  madeBy: z
    .enum(['best', 'forecaster'])
    .optional()
    .describe(
      'best: each lead of a forecast is made by the forecaster or by the damped trend of the last two frames, whichever has been best at it; forecaster: always by the forecaster; default: best, but forecaster with an ensemble or intervals, which are of its own forecasts',
    ),
  forecastEvery: count.default(1).describe('forecast from every Nth frame only'),
  policy: z
    .enum(['every', 'latest'])
    .default('every')
    .describe('every: forecast from each frame; latest: observe all, forecast from the newest'),
};

const values = {
  range: rangeSchema
    .optional()
    .describe(
      'values that normalise to 0 and 1, or such a pair for each channel, one after the other; default: those the forecaster, or the first of those that are to be tried, was trained with where the first context frames fit them (in integer images also as shares of the full scale), else the least and greatest of these frames',
    ),
  parameters: z
    .record(z.string(), z.number())
    .default({})
    .describe(
      'scalars of the runs by name, such as { temperature: 900 }, for a forecaster that is told some; default: what a parameters.json beside the frames says',
    ),
  region: z
    .string()
    .regex(/^\d+(,\d+){3}$/, 'x,y,width,height in whole pixels, such as 0,0,512,512')
    .transform((text, context): Region => {
      const [x = 0, y = 0, width = 0, height = 0] = text.split(',').map(Number);
      if (width < 2 || height < 2)
        context.issues.push({ code: 'custom', input: text, message: 'width and height of at least 2' });
      return [x, y, width, height];
    })
    .optional()
    .describe('x,y,width,height of the part of the frames to forecast, in pixels from the top left corner'),
  downsample: count
    .default(1)
    .describe('average so many pixels in each direction into one before the network'),
  tile: count
    .min(256)
    .default(1024)
    .describe('frames with a longer side go through the network in overlapping tiles of this many pixels'),
  missingValue: z
    .number()
    .optional()
    .describe('the value that stands where nothing is known, such as -9999; NaN always does'),
  mask: z.string().optional().describe('an image of the size of the frames: nothing is known where it is 0'),
  frameInterval: z
    .string()
    .regex(/^\s*(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*\S*\s*$/i, 'a number and perhaps a unit, such as 0.1s')
    .transform((text, context): PhysicalTime => {
      const value = Number.parseFloat(text);
      const unit = /[^\d.\s].*$/.exec(text.trim().replace(/^[\d.]+(e[+-]?\d+)?/i, ''))?.[0];
      if (!(value > 0)) context.issues.push({ code: 'custom', input: text, message: 'more than 0' });
      return { value, ...(unit !== undefined && { unit }) };
    })
    .optional()
    .describe(
      'time from one frame to the next, such as 0.1s; default: what the files or a times.csv beside them say',
    ),
};

const files = {
  ...filesShape,
  start: z
    .union([z.string(), z.number()])
    .transform((given, context): Start => {
      if (given === 'beginning' || given === 'now') return given;
      const index = Number(given);
      if (given === '' || !Number.isSafeInteger(index) || index < 0)
        context.issues.push({ code: 'custom', input: given, message: 'beginning, now or a frame number' });
      return index;
    })
    .default('beginning')
    .describe(
      'where a run without state begins; beginning: with the first frame that is there, now: with the next one that comes, or a number: with that frame',
    ),
  codecs: z
    .record(z.string(), z.record(z.string(), z.unknown()))
    .default({})
    .describe(
      'options of codecs by name, such as { vti: { field: phi } } (see `mesocast plugins codec`); a name may be a file or package',
    ),
  atomic: rootOptions.atomic.default(false),
  watch: rootOptions.watch.default('auto'),
  pollInterval: timer
    .default(1)
    .describe('seconds between scans of the directory; at least nine times what a scan takes'),
  patience: seconds.default(5).describe('seconds that a file may stay incomplete before it is given up'),
  gapWait: seconds
    .optional()
    .describe('seconds to wait for a number that is missing while later ones are there; default: patience'),
  onGap: z
    .enum(['skip', 'fail'])
    .default('skip')
    .describe('skip: go on without a number that did not come in time, and count it; fail: end the run'),
};

const end = {
  untilIdle: seconds.optional().describe('end when no new frame came for this many seconds'),
  frames: count.optional().describe('end after this many frames'),
};

const bounds = {
  batchSize: count.default(8).describe('most series in one run of the network'),
  batchDelay: timer.default(0.01).describe('seconds to wait for other series before a smaller batch is run'),
  memoryFrames: count.default(64).describe('most frames in memory between read and delivery'),
  memoryBytes: count
    .default(512 * 2 ** 20)
    .describe('most bytes of frames in memory between read and delivery'),
  // Two batches of eight series of 512 x 512 pixels over 50 leads, with what the trend makes: the network works while sinks
  // write what it made before.
  forecastBytes: count
    .default(2 * 2 ** 30)
    .describe(
      'most bytes of forecasts in memory that sinks have not taken yet; over it the network waits for the sinks (a batch that is larger by itself goes alone)',
    ),
  stateBytes: count
    .default(2 ** 30)
    .describe(
      'most bytes of recurrent states; series that were not seen for longest are rebuilt from their frames when they go on',
    ),
  outstandingBytes: count
    .default(4 * 2 ** 30)
    .describe('disk quota of forecasts that wait for their truth; over it the oldest expire'),
  keepLedger: z
    .number()
    .int()
    .min(1000)
    .default(1_000_000)
    .describe('frames of each series that the ledger remembers one by one; older ones are only counted'),
};

/** Everything `mesocast attach` can be told, by what it is about: in this order in --help and in docs/cli.md. */
export const attachGroups = {
  Folders: folders,
  Forecaster: forecasters,
  Forecasts: forecasts,
  'What frames show': values,
  'Which files are frames, and when': files,
  'When to end': end,
  'Bounds of time, memory and disk': bounds,
};

/** All of it. The config file has these keys; flags are their kebab-case. */
export const attachSchema = z.strictObject({
  ...folders,
  ...forecasters,
  ...forecasts,
  ...values,
  ...files,
  ...end,
  ...bounds,
  sinks: z.array(sinkSchema).prefault(['files', 'jsonl']),
});

export type AttachConfig = z.output<typeof attachSchema>;
