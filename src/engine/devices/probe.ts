import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { missing, type Device } from './needs.js';

/** How a device did with the probe's work, or why it could not. */
export type Probe =
  | {
      readonly works: true;
      /** Milliseconds of the work, and of the same on the CPU provider at the same time. */
      readonly ms: number;
      readonly cpuMs: number;
    }
  | { readonly works: false; readonly reason: string; readonly hint?: string };

/** TensorRT takes minutes to build an engine; a driver that hangs must not hold mesocast for ever. */
const PATIENCE_SECONDS = 180;

/** Child processes and their parent are of the same installation: what comes is what probe-child.ts sends. */
const isProbe = (message: unknown): message is Probe =>
  typeof message === 'object' && message !== null && 'works' in message;

/**
 * Tries a device with a small roll-out, in a process of its own: whatever native code does to that, this one goes on.
 * What drivers print there is not shown.
 */
export const probe = (device: Device, threads?: number): Promise<Probe> => {
  const reason = missing(device);
  if (reason !== undefined) return Promise.resolve({ works: false, reason });
  return new Promise((resolve) => {
    const child = fork(fileURLToPath(new URL('./probe-child.js', import.meta.url)), {
      env: { ...process.env, MESOCAST_PROBE: JSON.stringify({ device, threads }) },
      execArgv: [],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    let result: Probe | undefined;
    const timer = setTimeout(() => {
      result ??= { works: false, reason: `no answer within ${PATIENCE_SECONDS} s` };
      child.kill('SIGKILL');
    }, PATIENCE_SECONDS * 1000);
    child.on('message', (message) => {
      if (isProbe(message)) result ??= message;
    });
    child.on('error', (error) => {
      result ??= { works: false, reason: `the process that tries it cannot be started: ${error.message}` };
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const end = signal === null ? `exit code ${code ?? '?'}` : signal;
      resolve(result ?? { works: false, reason: `its native code ends the process (${end})` });
    });
  });
};
