// Runs jest on dist; arguments are jest's own. `node scripts/jest.mjs codec` runs the tests whose path has "codec".
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
const { status } = spawnSync(
  process.execPath,
  [
    '--experimental-vm-modules',
    '--no-warnings',
    '--enable-source-maps',
    'node_modules/jest/bin/jest.js',
    ...process.argv.slice(2),
  ],
  // Code under test sees a copy of the environment only, which native libraries do not.
  {
    stdio: 'inherit',
    env: {
      ORT_DISABLE_TELEMETRY: '1',
      MESOCAST_CACHE: resolve('node_modules/.cache/mesocast'),
      ...process.env,
    },
  },
);
process.exit(status ?? 1);
