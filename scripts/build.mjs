// Compiles src, plugins, test and bench into dist. Incremental: a second run takes a second.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync } from 'node:fs';

if (!existsSync('node_modules/typescript')) {
  console.error('mesocast: dependencies are not installed: run `npm ci` first');
  process.exit(1);
}
const { status } = spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json'], {
  stdio: 'inherit',
});
if (status !== 0) process.exit(status ?? 1);
chmodSync('dist/src/cli/main.js', 0o755);
