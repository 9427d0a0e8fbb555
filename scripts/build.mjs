// Compiles src, plugins, test and bench into dist. Incremental: a second run takes a second.
import { spawnSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
const { status } = spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json'], {
  stdio: 'inherit',
});
if (status !== 0) process.exit(status ?? 1);
chmodSync('dist/src/cli/main.js', 0o755);
