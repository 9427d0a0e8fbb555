// Installs the dependencies of a checkout when they are missing or older than package-lock.json.
// CI=true installs always. MESOCAST_SYSTEM_PACKAGES=1 allows to install the system packages that some tests want.
import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installSystemPackages } from './system-packages.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const modified = (file) => statSync(join(root, file), { throwIfNoEntry: false })?.mtimeMs ?? 0;
const fail = (message, hint) => {
  console.error(`mesocast: ${message}\n  ${hint}`);
  process.exit(1);
};

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  fail(
    `Node ${process.versions.node} is too old: 20.19 or later is needed`,
    'see https://nodejs.org/en/download',
  );
}

installSystemPackages();

// npm writes node_modules/.package-lock.json last: it is there only after an install that ran to its end.
const current = modified('node_modules/.package-lock.json') >= modified('package-lock.json');
if (current && process.env.CI !== 'true') process.exit(0);

console.log('Installing dependencies from the npm registry ...');
const start = Date.now();
const { status, error, stdout, stderr } = spawnSync(
  'npm',
  ['ci', '--no-audit', '--no-fund', '--loglevel=error', '--no-progress'],
  {
    cwd: root,
    encoding: 'utf8',
    shell: process.platform === 'win32',
    // The post-install script of onnxruntime-node would download CUDA libraries from elsewhere.
    env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip', npm_config_update_notifier: 'false' },
  },
);
if (error) fail(`npm cannot be started: ${error.message}`, 'install npm 10 or later and try again');
if (status !== 0) {
  process.stderr.write(stderr || stdout);
  fail(
    `npm ci failed (exit code ${status})`,
    'the lines above are its own: it needs to reach the npm registry (`npm ping`), and room on the disk',
  );
}
console.log(`Dependencies installed in ${((Date.now() - start) / 1000).toFixed(0)} s`);
