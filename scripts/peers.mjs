// Runs a command with the peers that some tests compare with or attach to, where they can be had: the real
// tfjs-node-gpu (MESOCAST_TFJS_NODE), a Python with onnx, onnxruntime and numpy (PEER_PYTHON), one with FiPy (FIPY_PYTHON).
//   node scripts/peers.mjs COMMAND ARGS...
// Never fatal: what is missing is said, and its tests skip. Kept in the user's cache folder, MESOCAST_PEERS another.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, openSync, closeSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SECONDS = 6 * 60;
const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const recipe = join(root, '..', 'shared', 'peers', 'tensorflow-native.sh');
const folder =
  process.env.MESOCAST_PEERS ||
  join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'mesocast', 'peers');
const tensorflow = join(folder, 'tensorflow');

/** Runs shell commands in a process group of their own, which ends when time is up; false with the reason said. */
const prepare = (name, log, script) =>
  new Promise((resolve) => {
    const start = Date.now();
    const output = openSync(log, 'w');
    const child = spawn('bash', ['-euc', script], { detached: true, stdio: ['ignore', output, output] });
    closeSync(output);
    let why;
    const clock = setTimeout(() => {
      why = `not ready after ${SECONDS} s`;
      process.kill(-child.pid, 'SIGKILL');
    }, SECONDS * 1000);
    const done = (reason) => {
      clearTimeout(clock);
      const seconds = ((Date.now() - start) / 1000).toFixed(0);
      console.log(
        reason ? `${name}: none (${reason}; ${log}), its tests skip` : `${name}: ready in ${seconds} s`,
      );
      resolve(reason === undefined);
    };
    child.once('error', (error) => done(error.message));
    child.once('exit', (code) => done(why ?? (code === 0 ? undefined : `exit code ${code}`)));
  });

const loads = `require('@tensorflow/tfjs-node-gpu')`;
const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

/** A Python of its own with these modules, from pip. */
const pythonWith = async (name, ...modules) => {
  const python = join(folder, name, 'bin', 'python');
  const works = `${quoted(python)} -c 'import ${modules.join(', ')}'`;
  const script = `${works} || { python3 -m venv ${quoted(dirname(dirname(python)))}; ${quoted(python)} -m pip install -q ${modules.join(' ')}; ${works}; }`;
  return (await prepare(`Python with ${modules[0]}`, join(folder, `${name}.log`), script))
    ? python
    : undefined;
};

const preparations = {
  MESOCAST_TFJS_NODE: async () => {
    if (!existsSync(recipe))
      return console.log('tfjs-node: none (no recipe beside the checkout), its tests skip');
    const works = `cd ${quoted(tensorflow)} && TF_CPP_MIN_LOG_LEVEL=3 node -e ${quoted(loads)}`;
    const script = `(${works}) || { bash ${quoted(recipe)} ${quoted(tensorflow)}; ${works}; }`;
    return (await prepare('tfjs-node', join(folder, 'tensorflow.log'), script)) ? tensorflow : undefined;
  },
  PEER_PYTHON: () => pythonWith('python', 'onnx', 'onnxruntime', 'numpy'),
  FIPY_PYTHON: () => pythonWith('fipy', 'fipy', 'numpy'),
};

const environment = { ...process.env };
try {
  mkdirSync(folder, { recursive: true });
  await Promise.all(
    Object.entries(preparations).map(async ([variable, work]) => {
      if (environment[variable] !== undefined) return;
      const value = await work();
      if (value !== undefined) environment[variable] = value;
    }),
  );
} catch (error) {
  console.log(`peers: none (${error.message}), their tests skip`);
}

const [command, ...args] = process.argv.slice(2);
const { status, signal, error } = spawnSync(command, args, { stdio: 'inherit', env: environment });
if (error) console.log(`${command}: ${error.message}`);
process.exit(signal ? 1 : (status ?? 1));
