import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const UID = 65534;
/** As whom a process runs that must not be allowed everything; undefined where this one is not root either. */
export const nobody = process.getuid?.() === 0 ? { uid: UID, gid: UID } : undefined;

const here = fileURLToPath(import.meta.url);
/** Not where only root can read this checkout: then there is nothing that nobody could run. */
export const nobodyReads =
  spawnSync(process.execPath, ['-e', `require('fs').readFileSync(${JSON.stringify(here)})`], nobody)
    .status === 0;
