// What some tests want from Debian: a software Vulkan driver for the webgpu device (Mesa's llvmpipe, 25 or later: Dawn
// refuses older ones, and the Vulkan loader), servers for the sinks mqtt and nats, Python modules that write HDF5 and
// TIFF, LAMMPS and OpenFOAM. Only where MESOCAST_SYSTEM_PACKAGES=1 allows it; never fatal: those tests skip instead.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const OLDEST_MESA = 25;
const GROUPS = [
  {
    purpose: 'the webgpu device',
    packages: ['mesa-vulkan-drivers', 'libvulkan1'],
    isEnough: ([mesa]) => parseInt(mesa, 10) >= OLDEST_MESA,
    /** The first Debian whose own Mesa is new enough; before it, backports has one. */
    backportsBefore: 13,
  },
  {
    purpose: 'the sinks mqtt and nats',
    packages: ['mosquitto', 'nats-server'],
    isEnough: () => true,
    backportsBefore: 0,
  },
  {
    purpose: 'live Python programs',
    packages: ['python3-h5py', 'python3-tifffile'],
    isEnough: () => true,
    backportsBefore: 0,
  },
  {
    purpose: 'live LAMMPS and OpenFOAM runs',
    packages: ['lammps', 'openfoam'],
    isEnough: () => true,
    backportsBefore: 0,
  },
];
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

const run = (command, args, seconds) => {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    encoding: 'utf8',
    timeout: seconds * 1000,
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' },
  });
  if (error?.code === 'ETIMEDOUT') throw new Error(`${command} did not end within ${seconds} s`);
  if (error) throw error;
  if (status !== 0) {
    const lines = stderr.split('\n').filter((line) => /^E: /.test(line));
    throw new Error(`${command} ${args.at(-1)}: ${lines[0]?.slice(3) ?? `exit code ${status}`}`);
  }
  return stdout;
};

const isInstalled = ({ packages, isEnough }) => {
  try {
    const versions = packages.map((name) => run('dpkg-query', ['-W', '-f=${Version}', name], 10));
    return versions.every((version) => version !== '') && isEnough(versions);
  } catch {
    return false;
  }
};

const debian = () => {
  const lines = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8').split('\n') : [];
  const field = (name) =>
    lines
      .find((line) => line.startsWith(`${name}=`))
      ?.slice(name.length + 1)
      .replaceAll('"', '');
  return field('ID') === 'debian'
    ? { codename: field('VERSION_CODENAME'), version: Number(field('VERSION_ID')) }
    : undefined;
};

/** Where this machine gets Debian from: a mirror of its own, perhaps. */
const mirror = () => {
  const lines = run('apt-get', ['indextargets', '--format', '$(ORIGIN) $(REPO_URI)'], 10).split('\n');
  const uri = lines.find((line) => line.startsWith('Debian '))?.slice('Debian '.length);
  return uri ?? 'http://deb.debian.org/debian/';
};

/** Debian starts a server when it installs one, unless this file says no: tests start their own. */
const POLICY = '/usr/sbin/policy-rc.d';
const withoutServices = (work) => {
  if (existsSync(POLICY)) return work();
  writeFileSync(POLICY, '#!/bin/sh\nexit 101\n');
  chmodSync(POLICY, 0o755);
  try {
    return work();
  } finally {
    rmSync(POLICY, { force: true });
  }
};

const install = ({ codename, version }, { packages, backportsBefore }) => {
  const scratch = mkdtempSync(join(tmpdir(), 'mesocast-apt-'));
  try {
    for (const folder of ['lists/partial', 'archives/partial', 'no-parts'])
      mkdirSync(join(scratch, folder), { recursive: true });
    const backports = version < backportsBefore ? `${codename}-backports` : undefined;
    const sources = join(scratch, 'debian.sources');
    writeFileSync(
      sources,
      `Types: deb\nURIs: ${mirror()}\nSuites: ${[codename, `${codename}-updates`, backports].join(' ').trim()}\nComponents: main\nSigned-By: ${KEYRING}\n`,
    );
    // Lists and downloads of its own: the machine's sources stay as they are.
    const settings = {
      'Dir::Etc::SourceList': sources,
      'Dir::Etc::SourceParts': join(scratch, 'no-parts'),
      'Dir::State::lists': join(scratch, 'lists'),
      'Dir::Cache': scratch,
      'Dir::Cache::archives': join(scratch, 'archives'),
      'APT::Sandbox::User': 'root',
      'Acquire::Retries': '1',
      'Acquire::http::Timeout': '20',
      'DPkg::Lock::Timeout': '60',
    };
    const apt = (seconds, ...args) =>
      run(
        'apt-get',
        [...Object.entries(settings).flatMap((pair) => ['-o', pair.join('=')]), ...args],
        seconds,
      );
    const wanted = [
      ...['-y', '--no-install-recommends', '--no-remove', ...(backports ? ['-t', backports] : [])],
      ...['install', ...packages],
    ];
    apt(120, '-q', '--error-on=any', 'update');
    apt(180, '--download-only', ...wanted);
    withoutServices(() => apt(180, '--no-download', ...wanted));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
};

/** Installs packages where that is allowed and needed, and says what came of it. */
export const installSystemPackages = () => {
  if (process.env.MESOCAST_SYSTEM_PACKAGES !== '1') return;
  for (const group of GROUPS) if (!isInstalled(group)) installGroup(group);
};

const installGroup = (group) => {
  const names = group.packages.join(' and ');
  const skipped = (why) =>
    console.log(`${names} not installed, tests of ${group.purpose} may be skipped: ${why}`);
  const release = debian();
  if (release === undefined) return skipped('this is not Debian');
  if (release.codename === undefined || Number.isNaN(release.version)) return skipped('an unreleased Debian');
  if (process.getuid?.() !== 0) return skipped('only root can install packages');
  const start = Date.now();
  try {
    install(release, group);
  } catch (error) {
    return skipped(error.message);
  }
  if (!isInstalled(group)) return skipped(`Debian ${release.version} offers none that is new enough`);
  console.log(`Installed ${names} in ${((Date.now() - start) / 1000).toFixed(0)} s`);
};
