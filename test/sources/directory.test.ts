import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { directory } from '../../plugins/sources/directory.js';
import { ownOutput } from '../../src/pipeline/intake/input.js';
import type { FilesOptions } from '../../src/pipeline/config/root-options.js';
import { StartupError } from '../../src/pipeline/errors.js';
import { networkFileSystem } from '../../src/pipeline/intake/network-file-systems.js';
import type { Source } from '../../src/pipeline/plugins/plugin.js';

import { until } from '../support/runs.js';

let home: string;
let root: string;
let lines: string[];
const { signal } = new AbortController();
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-directory-'));
  root = join(home, 'run7');
  await mkdir(root);
  lines = [];
});
afterEach(() => rm(home, { recursive: true }));

type Options = FilesOptions & { watch?: 'never' };
const attach = (options: Options = {}): Source =>
  directory.create(directory.options.parse({ directory: root, ...options }), {
    log: (line) => lines.push(line),
    extensions: ['.png', '.npy', '.ome.npy'],
  });
const put = async (...paths: string[]): Promise<void> => {
  for (const path of paths) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), path);
  }
};
const seen = async (source: Source): Promise<string[]> =>
  (await source.scan(signal))
    .map(({ series, index, path }) => `${series} ${index} ${path.slice(root.length + 1)}`)
    .sort();

test('files with a number are frames, folders are series, the rest is not there', async () => {
  await put('f_0001.png', 'f_0002.PNG', 'phi_t10_00003.npy', 'a/b/x7.ome.npy', '64x64_4.png');
  await put(
    '.f_0005.png',
    '.hidden/f_1.png',
    'f_0006.png.tmp',
    'f_0007.part',
    'f_0008.txt',
    'legend.png',
    'map.npy',
  );
  await put('f_99999999999999999999.png');
  const source = attach();
  await source.open(signal);
  expect(await seen(source)).toEqual([
    'run7 1 f_0001.png',
    'run7 2 f_0002.PNG',
    'run7 3 phi_t10_00003.npy',
    'run7 4 64x64_4.png',
    'run7/a/b 7 a/b/x7.ome.npy',
  ]);
  await seen(source);
  expect(lines).toEqual([expect.stringMatching(/no frames: 3, such as/)]);
});

test('a folder of files that are all no frames is told of once, log files beside frames never', async () => {
  await put('phi_0001.vtk', '.hidden', 'f_1.png.tmp');
  const source = attach();
  expect(await seen(source)).toEqual([]);
  await seen(source);
  expect(lines).toEqual([expect.stringMatching(/no frames in .*: phi_0001\.vtk is not one \(\.png, /)]);
  await put('f_1.png');
  expect(await seen(attach({ include: ['*.npy'] }))).toEqual([]);
  expect(lines[1]).toMatch(/is not among those that are included/);
  expect(await seen(attach())).toHaveLength(1);
  expect(lines).toHaveLength(2);
});

test('a revision changes with the content', async () => {
  await put('f_1.png');
  const source = attach();
  const before = await source.scan(signal);
  await writeFile(join(root, 'f_1.png'), 'longer than it was');
  const after = await source.scan(signal);
  expect(before[0]?.revision.size).toBe('f_1.png'.length);
  expect(after[0]?.revision).not.toEqual(before[0]?.revision);
  expect(after[0]?.revision.mtimeNs).toMatch(/^\d{18,}$/);
});

test('include and ignore take globs of paths and of names', async () => {
  await put('f_1.png', 'f_2.npy', 'a/f_3.png', 'a/old/f_4.png', 'b/f_5.png');
  expect(await seen(attach({ include: ['*.png'], ignore: ['old'] }))).toEqual([
    'run7 1 f_1.png',
    'run7/a 3 a/f_3.png',
    'run7/b 5 b/f_5.png',
  ]);
  expect(await seen(attach({ include: ['a/**'] }))).toEqual([
    'run7/a 3 a/f_3.png',
    'run7/a/old 4 a/old/f_4.png',
  ]);
  expect(await seen(attach({ ignore: ['a/**', '*.npy'] }))).toEqual(['run7 1 f_1.png', 'run7/b 5 b/f_5.png']);
});

test('links inside the folder are followed once, links out of it never, those to nowhere are files', async () => {
  await mkdir(join(home, 'other'));
  await writeFile(join(home, 'other', 'f_9.png'), '');
  await put('a/f_1.png');
  await symlink(join(home, 'other'), join(root, 'out'));
  await symlink(join(home, 'other', 'f_9.png'), join(root, 'f_9.png'));
  await symlink(root, join(root, 'a', 'circle'));
  await symlink(join('a', 'f_1.png'), join(root, 'first_1.png'));
  await symlink('nowhere', join(root, 'f_8.png'));
  expect(await seen(attach())).toEqual(['run7 1 first_1.png', 'run7 8 f_8.png', 'run7/a 1 a/f_1.png']);
  expect(lines).toEqual([
    `links that leave ${root} are not followed: 2, such as f_9.png (--links anywhere follows them)`,
  ]);
  lines = [];
  expect(await seen(attach({ links: 'anywhere' }))).toEqual([
    'run7 1 first_1.png',
    'run7 8 f_8.png',
    'run7 9 f_9.png',
    'run7/a 1 a/f_1.png',
    'run7/out 9 out/f_9.png',
  ]);
  expect(lines).toEqual([]);
});

test('a link to a folder that is there, such as the newest run, gives it no other name; own output is left out alone', async () => {
  await put('run1/f_1.png', 'deep/run2/f_2.png', 'run1/out/f_3.png', 'out/f_4.png');
  await symlink('run1', join(root, 'current'));
  await symlink(join('..', 'run1'), join(root, 'deep', 'a'));
  const ignore = await ownOutput(root, [join(root, 'out')]);
  expect(await seen(attach({ ignore }))).toEqual([
    'run7/deep/run2 2 deep/run2/f_2.png',
    'run7/run1 1 run1/f_1.png',
    'run7/run1/out 3 run1/out/f_3.png',
  ]);
  // However the root is called, and before there is any output.
  await symlink(root, join(home, 'scratch'));
  expect(await ownOutput(join(home, 'scratch'), [join(root, 'deep', 'later')])).toEqual([
    '/deep/later',
    '/deep/later/**',
  ]);
});

test('a pattern says which file is which frame of which series', async () => {
  await put('phi_t01_3.png', 'c_t01_3.png', 'phi_t01_4.npy', 'notes_5.png', '0003/phi.png', '0004/phi.png');
  expect(await seen(attach({ pattern: '(?<series>phi|c)_t01_(?<index>\\d+)\\.\\w+' }))).toEqual([
    'run7/c 3 c_t01_3.png',
    'run7/phi 3 phi_t01_3.png',
    'run7/phi 4 phi_t01_4.npy',
  ]);
  // A folder for each frame, and nothing said of series: all are one.
  expect(await seen(attach({ pattern: '(?<index>\\d+)/phi\\.png' }))).toEqual([
    'run7 3 0003/phi.png',
    'run7 4 0004/phi.png',
  ]);
  expect(lines).toEqual([]);
  expect(await seen(attach({ pattern: 'x(?<index>\\d+)' }))).toEqual([]);
  expect(lines).toEqual([expect.stringMatching(/no frames in .*: 0003\/phi\.png does not match x\(/)]);
});

test.each([
  ['frame_\\d+', /needs a group \(\?<index>/],
  ['(?<number>\\d+)', /groups are called index and series, not "number"/],
  ['(?<index>\\d+', /Unterminated group|Invalid regular expression/],
])('the pattern %s is refused', (pattern, says) => {
  expect(directory.options.safeParse({ directory: root, pattern }).error?.issues[0]?.message).toMatch(says);
});

test('with a marker only files that have theirs are there', async () => {
  await put(
    'f_1.png',
    'f_1.png.done',
    'f_2.png',
    'f_2.done',
    'f_3.png',
    'a/f_1.png',
    'a/f_2.done',
    'b/f_1.png',
  );
  await put('b/FINISHED');
  expect(await seen(attach({ doneMarker: '*.done' }))).toEqual(['run7 1 f_1.png', 'run7 2 f_2.png']);
  expect(await seen(attach({ doneMarker: 'FINISHED' }))).toEqual(['run7/b 1 b/f_1.png']);
  expect(lines).toEqual([]);
  expect(await seen(attach({ doneMarker: '*.ok' }))).toEqual([]);
  expect(lines).toEqual([
    expect.stringMatching(/5 wait for their marker, such as a\/f_1\.png for f_1\.png\.ok or f_1\.ok/),
  ]);
  for (const doneMarker of ['*', '', 'done/*', '*.*.done', '..'])
    expect(directory.options.safeParse({ directory: root, doneMarker }).success).toBe(false);
});

test('a folder that vanishes is reported once and taken up again', async () => {
  await put('f_1.png');
  const source = attach();
  await rename(root, `${root}-away`);
  expect(await seen(source)).toEqual([]);
  expect(await seen(source)).toEqual([]);
  await rename(`${root}-away`, root);
  expect(await seen(source)).toEqual(['run7 1 f_1.png']);
  expect(lines).toEqual([expect.stringContaining('cannot be read'), expect.stringContaining('is back')]);
});

test('where nobody can say what is there a scan fails, and finds it again', async () => {
  await put('f_1.png');
  const source = attach();
  expect(await seen(source)).toHaveLength(1);
  await rename(root, `${root}-away`);
  await writeFile(root, 'a file in its place');
  await expect(source.scan(signal)).rejects.toThrow(/run7 cannot be read: ENOTDIR/);
  await rm(root);
  await rename(`${root}-away`, root);
  expect(await seen(source)).toHaveLength(1);
  expect(lines).toEqual([expect.stringContaining('is back')]);
});

const mounts =
  process.platform === 'linux' &&
  spawnSync('unshare', ['-m', 'true']).status === 0 &&
  process.getuid?.() === 0;
(mounts ? test : test.skip)(
  'a mount point whose file system is away is not an empty folder (skipped without the right to mount)',
  async () => {
    const mount = (...args: string[]): number | null => spawnSync('mount', args).status;
    const on = (): void => {
      if (mount('-t', 'tmpfs', 'tmpfs', root) !== 0) throw new Error('cannot mount');
    };
    on();
    try {
      const source = attach();
      expect(await seen(source)).toEqual([]);
      await put('f_1.png');
      expect(await seen(source)).toHaveLength(1);
      spawnSync('umount', [root]);
      await expect(source.scan(signal)).rejects.toThrow(/seems to be unmounted/);
      on();
      await put('f_2.png');
      expect(await seen(source)).toEqual(['run7 2 f_2.png']);
      await rm(join(root, 'f_2.png'));
      expect(await seen(source)).toEqual([]); // emptied where it was
    } finally {
      spawnSync('umount', [root]);
    }
  },
);

test('what is not there, or not a folder, is refused at the start', async () => {
  await rm(root, { recursive: true });
  await expect(attach().open(signal)).rejects.toThrow('there is no such folder');
  await writeFile(root, '');
  await expect(attach().open(signal)).rejects.toThrow(StartupError);
});

test('a scan ends when it is told to', async () => {
  await expect(attach().scan(AbortSignal.abort(new Error('stop')))).rejects.toThrow('stop');
});

test('hints name the files that were written, in folders that a scan found, new ones and such that come back too', async () => {
  await put('a/f_1.png');
  const source = attach();
  const named = new Set<string>();
  let scans = 0;
  const subscription = source.hints.subscribe((paths) => {
    if (paths === undefined) scans++;
    for (const path of paths ?? []) named.add(path.slice(root.length + 1));
  });
  await source.scan(signal);
  await until('the folders are watched', () => scans > 0);
  await put('a/f_2.png', 'f_3.png');
  await until('both files are named', () => named.has('a/f_2.png') && named.has('f_3.png'));

  await rm(join(root, 'a'), { recursive: true });
  await put('b/f_1.png', 'a/f_4.png');
  await until('the new folder is named', () => named.has('b'));
  scans = 0;
  await source.scan(signal);
  await until('one of them is watched', () => scans > 0);
  let number = 700; // the other one is watched a little later
  const isNamed = (folder: string): boolean => [...named].some((name) => name.startsWith(`${folder}/f_7`));
  named.clear();
  await until('files in both are named', async () => {
    await put(`b/f_${number}.png`, `a/f_${number}.png`);
    number++;
    return isNamed('a') && isNamed('b');
  });
  subscription.unsubscribe();
  await source.close();
});

test('files in a folder of many are named too, and while it becomes one', async () => {
  await put(...Array.from({ length: 63 }, (_, k) => `f_${k}.png`));
  const source = attach();
  const named = new Set<string>();
  let scans = 0;
  const subscription = source.hints.subscribe((paths) => {
    if (paths === undefined) scans++;
    for (const path of paths ?? []) named.add(path.slice(root.length + 1));
  });
  await source.scan(signal);
  await until('the folder is watched', () => scans > 0);
  await put('f_64.png', 'f_65.png', 'f_66.png');
  await until('files are named before it is large', () => named.has('f_66.png'));
  scans = 0;
  await source.scan(signal);
  await until('it is watched anew', () => scans > 0);
  await put('f_67.png');
  await until('a file is named now that it is', () => named.has('f_67.png'));
  subscription.unsubscribe();
});

test('nobody is woken where changes are not announced', async () => {
  const source = attach({ watch: 'never' });
  await source.open(signal);
  let hints = 0;
  const subscription = source.hints.subscribe(() => hints++);
  await source.scan(signal);
  await put('f_1.png');
  await delay(300);
  expect(hints).toBe(0);
  subscription.unsubscribe();
});

test('a look at paths finds what a scan would, or leaves it to the scan', async () => {
  await put('f_1.png', 'a/f_2.png', 'a/notes.txt', 'old/f_3.png', '.x/f_4.png', 'f_5.png.tmp');
  await symlink('f_1.png', join(root, 'f_6.png'));
  const look = async (paths: string[], options: Options = {}): Promise<string[] | undefined> => {
    const entries = await attach({ ignore: ['old'], ...options }).look?.(
      paths.map((path) => join(root, path)),
      signal,
    );
    return entries?.map(({ series, index }) => `${series} ${index}`).sort();
  };
  const all = [
    'f_1.png',
    'a/f_2.png',
    'a/notes.txt',
    'old/f_3.png',
    '.x/f_4.png',
    'f_5.png.tmp',
    'gone_9.png',
  ];
  expect(await look(all)).toEqual(['run7 1', 'run7/a 2']);
  expect(await look(['f_1.png', 'f_6.png'])).toBeUndefined(); // a link may leave the folder
  expect(await look(['a'])).toBeUndefined();
  expect(await look(['f_1.png'], { doneMarker: '*.done' })).toBeUndefined();
  const [entry] = (await attach().look?.([join(root, 'f_1.png')], signal)) ?? [];
  expect(entry).toEqual((await attach().scan(signal)).find(({ path }) => path === entry?.path));
});

test('of many files that were dealt with some are looked at in each scan, and all in turn', async () => {
  const paths = Array.from({ length: 2500 }, (_, k) => join(root, `f_${k}.png`));
  for (const path of paths) await writeFile(path, '');
  const source = attach();
  const notDone = async (): Promise<number> =>
    (await source.scan(signal, ({ revision }) => revision.size === 0)).length;
  expect(await notDone()).toBe(0);
  for (const path of paths) await writeFile(path, 'revised');
  const first = await notDone();
  expect(first).toBeGreaterThan(0);
  expect(first).toBeLessThan(1000);
  await notDone();
  expect(await notDone()).toBe(2500);
  expect(await notDone()).toBe(2500);
});

test('of those that were dealt with, what went away and came again is found', async () => {
  await put('f_1.png', 'a/f_2.png');
  const source = attach();
  const notDone = async (): Promise<string[]> =>
    (await source.scan(signal, ({ revision }) => revision.size !== 3)).map(
      ({ series, index }) => `${series} ${index}`,
    );
  expect(await notDone()).toEqual([]);
  await rm(join(root, 'a'), { recursive: true });
  await rm(join(root, 'f_1.png'));
  expect(await source.isThere(join(root, 'f_1.png'))).toBe(false);
  expect(await notDone()).toEqual([]);
  await writeFile(join(root, 'f_1.png'), 'abc');
  await mkdir(join(root, 'a'));
  await writeFile(join(root, 'a/f_2.png'), 'abc');
  expect((await notDone()).sort()).toEqual(['run7 1', 'run7/a 2']);
  expect(await source.isThere(join(root, 'f_1.png'))).toBe(true);
  expect(await source.isThere(join(root, 'f.png'))).toBe(false);
});

test.each([
  [0x6969, 'NFS'],
  [0xff534d42, 'CIFS'],
  [0xff534d42 - 2 ** 32, 'CIFS'], // as it is where the type is a signed number of 32 bits
  [0x0bd00bd0, 'Lustre'],
  [0x65735546, 'FUSE (sshfs and the like)'],
  [0xef53, undefined], // ext4
  [0x58465342, undefined], // XFS
])('a file system of type %i is %s', (type, name) => {
  expect(networkFileSystem(type)).toBe(name);
});
