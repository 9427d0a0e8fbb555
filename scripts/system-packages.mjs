// A software Vulkan driver for the tests of the webgpu device: Mesa's llvmpipe, 25 or later (Dawn refuses older ones),
// and the Vulkan loader. Only where MESOCAST_SYSTEM_PACKAGES=1 allows it; never fatal: those tests skip instead.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PACKAGES = ['mesa-vulkan-drivers', 'libvulkan1'];
const OLDEST_MESA = 25;
/** The first Debian whose own Mesa is new enough; before it, backports has one. */
const NEW_ENOUGH_DEBIAN = 13;
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

const isInstalled = () => {
  try {
    const versions = PACKAGES.map((name) => run('dpkg-query', ['-W', '-f=${Version}', name], 10));
    return parseInt(versions[0], 10) >= OLDEST_MESA && versions.every((version) => version !== '');
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

const install = ({ codename, version }) => {
  const scratch = mkdtempSync(join(tmpdir(), 'mesocast-apt-'));
  try {
    for (const folder of ['lists/partial', 'archives/partial', 'no-parts'])
      mkdirSync(join(scratch, folder), { recursive: true });
    const backports = version < NEW_ENOUGH_DEBIAN ? `${codename}-backports` : undefined;
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
      ...['install', ...PACKAGES],
    ];
    apt(120, '-q', '--error-on=any', 'update');
    apt(180, '--download-only', ...wanted);
    apt(180, '--no-download', ...wanted);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
};

/** Installs the driver where that is allowed and needed, and says what came of it. */
export const installVulkanDriver = () => {
  if (process.env.MESOCAST_SYSTEM_PACKAGES !== '1' || isInstalled()) return;
  const skipped = (why) =>
    console.log(`No Vulkan driver installed, tests of the webgpu device may be skipped: ${why}`);
  const release = debian();
  if (release === undefined) return skipped('this is not Debian');
  if (release.codename === undefined || Number.isNaN(release.version)) return skipped('an unreleased Debian');
  if (process.getuid?.() !== 0) return skipped('only root can install packages');
  const start = Date.now();
  try {
    install(release);
  } catch (error) {
    return skipped(error.message);
  }
  if (!isInstalled()) return skipped(`Debian ${release.version} offers no Mesa ${OLDEST_MESA} or later`);
  console.log(`Installed ${PACKAGES.join(' and ')} in ${((Date.now() - start) / 1000).toFixed(0)} s`);
};
