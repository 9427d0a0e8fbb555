// Uses mesocast as someone who installs it does: packs it, installs the tarball into an empty folder, and there makes
// frames and attaches to them. Needs the npm registry and a finished build.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const scratch = mkdtempSync(join(tmpdir(), 'mesocast-package-'));
const home = join(scratch, 'empty');
mkdirSync(home);

// A user's shell: nothing of the `npm run` around us.
const env = Object.fromEntries(
  Object.entries(process.env).filter(([key]) => !/^npm_(package|lifecycle|config_local)/.test(key)),
);
Object.assign(env, { ONNXRUNTIME_NODE_INSTALL: 'skip', npm_config_update_notifier: 'false' });

const fail = (message) => {
  throw new Error(message);
};
const sh = (cwd, command, ...args) => {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    env,
    encoding: 'utf8',
    maxBuffer: 64 * 2 ** 20,
    shell: process.platform === 'win32',
  });
  if (error) throw error;
  if (status !== 0) fail(`\`${[command, ...args].join(' ')}\` exited with ${status}\n${stdout}${stderr}`);
  return stdout;
};
const mesocast = (...args) => sh(home, 'npx', '--no-install', 'mesocast', ...args);

try {
  const [packed] = JSON.parse(
    sh(root, 'npm', 'pack', '--json', '--ignore-scripts', '--loglevel=error', '--pack-destination', scratch),
  );
  console.log(
    `packed ${packed.filename}: ${packed.files.length} files, ${(packed.size / 1e6).toFixed(1)} MB`,
  );
  // Who reads the pages in the package has no checkout beside it.
  const paths = packed.files.map(({ path }) => path);
  const isPacked = (path) => paths.some((one) => one === path || one.startsWith(`${path}/`));
  const dead = paths
    .filter((path) => path.endsWith('.md'))
    .flatMap((page) => {
      const text = readFileSync(join(root, page), 'utf8').replaceAll(/```.*?```/gs, '');
      const links = [...text.matchAll(/\]\(([^)\s#]+)/g)].map(([, link]) => link);
      return links
        .filter((link) => !/^[a-z]+:/.test(link) && !isPacked(posix.join(posix.dirname(page), link)))
        .map((link) => `${page}: ${link}`);
    });
  if (dead.length > 0) fail(`links to what is not in the package: ${dead.join(', ')}`);

  writeFileSync(
    join(home, 'package.json'),
    '{ "name": "empty", "version": "1.0.0", "private": true, "type": "module" }\n',
  );
  sh(home, 'npm', 'install', '--no-audit', '--no-fund', '--loglevel=error', join(scratch, packed.filename));

  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const said = mesocast('--version').trim();
  if (said !== version) fail(`mesocast --version says ${said}, package.json ${version}`);

  // The library: what package.json exports can be imported, and types come along.
  writeFileSync(
    join(home, 'use.mjs'),
    "for (const path of ['mesocast', 'mesocast/engine', 'mesocast/networks', 'mesocast/testing']) if (Object.keys(await import(path)).length === 0) throw new Error(path);\n",
  );
  sh(home, process.execPath, 'use.mjs');
  const types = join(home, 'node_modules/mesocast/dist/src/index.d.ts');
  if (!statSync(types, { throwIfNoEntry: false })) fail(`${types} is missing`);

  mesocast('simulate', 'dendrite', '--out', 'frames', '--frames', '24', '--size', '64', '--seed', '7');
  const summary = JSON.parse(
    mesocast('attach', 'frames', '--until-idle', '3', '--horizon', '10', '--out', 'out', '--json'),
  );
  // 24 frames, a context of 10: forecasts from frames 9 to 23, of which those up to frame 13 see all their leads come true.
  if (summary.forecasts !== 15)
    fail(`attach made ${summary.forecasts} forecasts, 15 expected: ${JSON.stringify(summary)}`);
  if (summary.scores.final !== 5)
    fail(`attach made ${summary.scores.final} final scores, 5 expected: ${JSON.stringify(summary)}`);
  if (readdirSync(join(home, 'out')).length === 0) fail('attach left nothing in its output folder');
  console.log(
    `installed into an empty folder: ${summary.forecasts} forecasts, ${summary.scores.final} final scores`,
  );

  // A plugin of one's own, from the scaffold: installs, passes its tests, is listed, and runs.
  for (const kind of ['sink', 'codec', 'predictor']) {
    const name = `own-${kind}`;
    const folder = join(home, name);
    mesocast('plugins', 'new', kind, name);
    sh(
      folder,
      'npm',
      'install',
      '--no-audit',
      '--no-fund',
      '--loglevel=error',
      '--ignore-scripts',
      '--save-dev',
      join(scratch, packed.filename),
    );
    sh(folder, 'npm', 'test');
    sh(home, 'npm', 'install', '--no-audit', '--no-fund', '--loglevel=error', '--ignore-scripts', folder);
  }
  const { installed } = JSON.parse(mesocast('plugins', '--json'));
  if (installed.map(({ name }) => name).join() !== 'own-codec,own-predictor,own-sink')
    fail(`mesocast plugins does not list what is installed: ${JSON.stringify(installed)}`);
  mesocast(
    'attach',
    'frames',
    '--until-idle',
    '3',
    '--horizon',
    '10',
    '--out',
    'own-out',
    '--sink',
    'own-sink',
  );
  // What a plugin imports is the contracts: another copy of the pipeline would say so a thousand times.
  const listed = spawnSync('npx', ['--no-install', 'mesocast', 'plugins'], {
    cwd: home,
    env,
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  if (listed.stderr !== '')
    fail(`a plugin with a copy of mesocast makes noise: ${listed.stderr.slice(0, 200)}`);
  const lines = readFileSync(join(home, 'own-out/own-sink.txt'), 'utf8').trim().split('\n').length;
  if (lines !== 15) fail(`the sink of one's own got ${lines} forecasts, 15 expected`);
  const trained = ['--predictor', 'own-predictor', '--encoder', 'patch', '--decoder', 'patch'];
  const small = ['--iterations', '2', '--batch', '2', '--context', '4', '--leads', '2', '--horizon', '2'];
  mesocast('simulate', 'dendrite', '--out', 'runs', '--count', '2', '--frames', '8', '--size', '32');
  mesocast('train', 'runs', '--out', 'own-forecaster', '--validation', '1', ...small, ...trained);
  const made = JSON.parse(
    mesocast(
      'forecast',
      'frames',
      '--forecaster',
      'own-forecaster',
      '--context',
      '4',
      '--horizon',
      '5',
      '--json',
    ),
  );
  if (made.index !== 23 || made.horizon !== 5)
    fail(`a forecaster with a predictor of one's own said ${JSON.stringify(made)}`);
  console.log(
    'a sink, a codec and a predictor from `mesocast plugins new` install, pass their tests, are listed and run',
  );
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
