/** Writes frames into a ledger until it is killed, and prints the number of each one that `durable` has confirmed. */
import { openLedger } from '../../src/pipeline/ledger/ledger.js';

const [, , folder] = process.argv;
if (folder === undefined) throw new Error('usage: ledger-writer FOLDER');
const ledger = openLedger(folder);
for (let index = [...ledger.frames('s')].length; ; index++) {
  const entry = { series: 's', index, path: `/s/${index}.png`, revision: { size: 1, mtimeNs: '1' } };
  ledger.putFrame({ ...entry, position: index });
  if (index >= 3) ledger.finish({ ...entry, index: index - 3, path: `/s/${index - 3}.png` }, 'observed');
  if (index % 5 !== 0) continue;
  await ledger.durable();
  process.stdout.write(`${index}\n`);
}
