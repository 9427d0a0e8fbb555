import { z } from 'zod';
import { messageOf } from '../errors.js';
import { compilePattern } from '../intake/frame-names.js';

/** An empty path would be the current folder. */
export const pathSchema = z.string().refine((path) => path !== '', 'name a folder');

/** What can be said of a folder of frames. */
export const rootOptions = {
  include: z
    .array(z.string())
    .describe('only files whose path below the directory matches one of these globs'),
  ignore: z.array(z.string()).describe('skip files that match one of these globs'),
  pattern: z
    .string()
    .superRefine((pattern, context) => {
      try {
        compilePattern(pattern);
      } catch (error) {
        context.addIssue({ code: 'custom', message: messageOf(error) });
      }
    })
    .describe(
      'which files are frames: a regular expression for their path below the directory, with groups for the number and, if need be, the series: (?<series>.+)/frame_(?<index>\\d+)\\.png',
    ),
  doneMarker: z
    .string()
    .regex(/^(?!\.{0,2}$)[^/*]*(\*[^/*]*)?$/, 'a file name with one * at the most, such as *.done')
    .refine((marker) => marker !== '*', 'a file name with one * at the most, such as *.done')
    .describe(
      'a frame is complete when this file is beside it, * for its name with or without its ending: *.done',
    ),
  atomic: z.boolean().describe('the writer renames finished files into place: accept a file at once'),
  links: z
    .enum(['inside', 'anywhere'])
    .describe('inside: links that leave the directory are not followed; anywhere: all are'),
  watch: z
    .enum(['auto', 'always', 'never'])
    .describe(
      'be told of changes by the system; auto: but not on network file systems, which do not tell; never: only scan',
    ),
};

/** Which files of a folder are frames: for every command that reads some. */
export const filesShape = {
  include: rootOptions.include.default([]),
  ignore: rootOptions.ignore.default([]),
  pattern: rootOptions.pattern.optional(),
  doneMarker: rootOptions.doneMarker.optional(),
  links: rootOptions.links.default('inside'),
};

/** The same, where others have seen to the defaults. */
export type FilesOptions = {
  readonly [K in keyof typeof filesShape]?: z.output<(typeof filesShape)[K]> | undefined;
};

/** These options alone, of settings that have more. */
export const filesOf = ({ include, ignore, pattern, doneMarker, links }: FilesOptions): FilesOptions => ({
  include,
  ignore,
  pattern,
  doneMarker,
  links,
});

/** A folder that frames appear in, with what is to be known of it where the run's own settings do not fit. */
export const rootSchema = z.union([
  z.string().min(1),
  z.strictObject({
    directory: z.string().min(1),
    as: z
      .string()
      .regex(/^\w[\w.-]*(\/\w[\w.-]*)*$/, 'letters, digits, ".", "-" and "_"')
      .optional()
      .describe('what its series are called'),
    include: rootOptions.include.optional(),
    ignore: rootOptions.ignore.optional(),
    pattern: rootOptions.pattern.optional(),
    doneMarker: rootOptions.doneMarker.optional(),
    atomic: rootOptions.atomic.optional(),
    links: rootOptions.links.optional(),
    watch: rootOptions.watch.optional(),
  }),
]);
