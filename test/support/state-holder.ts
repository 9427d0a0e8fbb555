/** Holds a state folder until it is killed. */
import { openStateFolder } from '../../src/pipeline/state/state-folder.js';

openStateFolder(process.argv[2] ?? '');
process.stdout.write('held\n');
setInterval(() => undefined, 1000);
