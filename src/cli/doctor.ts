import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { codeOf, messageOf } from '../pipeline/errors.js';
import type { Command } from './command.js';
import { version } from './version.js';

/** Packages with native code: what goes wrong on a machine usually goes wrong in one of them. */
const NATIVE = ['onnxruntime-node', 'sharp', 'lmdb'] as const;

interface PackageReport {
  readonly name: string;
  readonly version?: string;
  readonly works: boolean;
  readonly reason?: string;
}

/** The version of an installed package, wherever its entry point lies inside it. */
const versionOf = (name: string): string | undefined => {
  const require = createRequire(import.meta.url);
  let folder = dirname(require.resolve(name));
  for (;;) {
    try {
      const manifest: unknown = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
      if (
        typeof manifest === 'object' &&
        manifest !== null &&
        'name' in manifest &&
        manifest.name === name &&
        'version' in manifest
      ) {
        return String(manifest.version);
      }
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
    }
    if (folder === dirname(folder)) return undefined;
    folder = dirname(folder);
  }
};

const probePackage = async (name: string): Promise<PackageReport> => {
  try {
    const found = versionOf(name);
    await import(name);
    return { name, works: true, ...(found !== undefined && { version: found }) };
  } catch (error) {
    return { name, works: false, reason: messageOf(error).split('\n')[0] ?? '' };
  }
};

export const doctorCommand: Command = {
  usage: 'doctor',
  onlyPrints: true,
  summary: 'Show what mesocast can use on this machine, and how to get the rest',
  examples: [
    ['mesocast doctor', 'devices that work, and why the others do not'],
    ['mesocast doctor --json', 'the same for a bug report'],
  ],
  declare: (yargs) => yargs,
  run: async (_args, ui) => {
    const { milliseconds, PROBE_WORK, probeDevices } = await import('../engine/devices/open.js');
    const packages = await Promise.all(NATIVE.map(probePackage));
    ui.say(`trying each device with ${PROBE_WORK} ...`);
    const { devices, auto } = await probeDevices();
    const healthy = packages.every(({ works }) => works) && auto !== undefined;
    const machine = {
      mesocast: version(),
      node: process.versions.node,
      platform: `${process.platform}-${process.arch}`,
      cores: availableParallelism(),
      memoryBytes: totalmem(),
    };
    ui.result({ ...machine, packages, devices, auto: auto ?? null, healthy }, [
      `mesocast ${machine.mesocast}, Node ${machine.node}, ${machine.platform}, ${machine.cores} cores, ${(machine.memoryBytes / 2 ** 30).toFixed(0)} GiB`,
      '',
      'packages',
      ...packages.map(
        ({ name, works, version: found, reason }) =>
          `  ${works ? 'ok ' : 'NO '} ${name} ${found ?? ''}${reason === undefined ? '' : `: ${reason}`}`,
      ),
      '',
      'devices, with the time that it took',
      ...devices.flatMap(({ name, works, ms, reason, hint }) => [
        `  ${works ? 'ok ' : 'no '} ${name}${ms === undefined ? '' : `  ${milliseconds(ms)}`}${name === auto ? '  <- what auto takes' : ''}${reason === undefined ? '' : `: ${reason}`}`,
        ...(!works && hint !== undefined ? [`        ${hint}`] : []),
      ]),
      ...(healthy
        ? []
        : [
            '',
            'mesocast cannot work here until what is marked NO does; reinstalling (`npm ci`) repairs a broken package.',
          ]),
    ]);
    return healthy ? 0 : 3;
  },
};
