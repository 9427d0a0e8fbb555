import * as tf from '@tensorflow/tfjs-core';
import { EngineError, MesocastError, messageOf, StartupError, UsageError } from '../../pipeline/errors.js';
import { DEVICES, howToGet, isDevice, isPlausible, usesDriver, type Device } from './needs.js';
import { PROBE_WORK } from './probe-work.js';
import { probe, type Probe } from './probe.js';
import { startDevice } from './start.js';
import type { Engine } from '../types.js';

/** A matrix product on the device. @throws EngineError with the reason when the device does not work */
const tryOut = async (engine: Engine): Promise<void> => {
  const spec = { shape: [2, 2], dtype: 'float32' as const };
  const program = await engine.compile(({ a }) => ({ y: tf.matMul(a as tf.Tensor2D, a as tf.Tensor2D) }), {
    a: spec,
  });
  const { y } = await program.run({ a: { ...spec, data: Float32Array.of(1, 2, 3, 4) } });
  if (y === undefined) throw new EngineError('no result');
  const { data } = await engine.read(y);
  y.release();
  await program.dispose();
  if (data[3] !== 22) throw new EngineError('wrong results');
};

/** A device that works but that `auto` has no reason to take: Vulkan in software, say. */
const isSlow = (result: Probe): boolean => result.works && result.ms > result.cpuMs;

/** For people. */
export const milliseconds = (ms: number): string => `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;

/** @throws EngineError with the reason, and what to do if that is known */
const open = async (device: Device, threads: number | undefined, isAuto: boolean): Promise<Engine> => {
  if (usesDriver(device)) {
    const result = await probe(device, threads);
    if (!result.works) {
      const hint = result.hint ?? howToGet(device);
      throw new EngineError(result.reason, hint === undefined ? {} : { hint });
    }
    if (isAuto && isSlow(result))
      throw new EngineError(
        `it takes ${milliseconds(result.ms)} for what the CPU does in ${milliseconds(result.cpuMs)}`,
      );
    return startDevice(device, threads);
  }
  const engine = await startDevice(device, threads);
  try {
    await tryOut(engine);
    return engine;
  } catch (error) {
    await engine.dispose();
    throw error;
  }
};

/** @throws UsageError for a name that is no device */
const parse = (preference: string): readonly Device[] => {
  if (preference === 'auto') return DEVICES.filter(isPlausible);
  return preference.split(',').map((part) => {
    const name = part.trim();
    if (isDevice(name)) return name;
    throw new UsageError(`unknown device "${name}"`, {
      hint: `choose auto, or one or more (webgpu,cpu) of ${DEVICES.join(', ')}`,
    });
  });
};

/**
 * An engine on the first device that works.
 * @param preference `auto`, a device, or several in order of preference, with commas. `auto` goes through DEVICES and
 * leaves out what is slower than the CPU provider.
 * @param threads of the CPU; default: all cores
 * @param notice told once when a device that came first is not the one taken, with the reason
 * @throws UsageError for an unknown name, StartupError with reason and hint when none works
 */
export const openEngine = async (
  preference = 'auto',
  threads?: number,
  notice: (message: string) => void = () => undefined,
): Promise<Engine> => {
  const failures: { device: Device; error: unknown }[] = [];
  const reasons = (): string =>
    failures.map(({ device, error }) => `${device}: ${messageOf(error)}`).join('; ');
  for (const device of parse(preference)) {
    try {
      const engine = await open(device, threads, preference === 'auto');
      if (failures.length > 0) notice(`computing on ${engine.device}, not on ${reasons()}`);
      return engine;
    } catch (error) {
      failures.push({ device, error });
    }
  }
  const { error } = failures[0] as (typeof failures)[number];
  const single = failures.length === 1 ? messageOf(error) : reasons();
  throw new StartupError(`device ${preference} does not work here: ${single}`, {
    cause: error,
    hint: (error instanceof MesocastError ? error.hint : undefined) ?? 'see `mesocast doctor`',
  });
};

export { PROBE_WORK };

export interface DeviceReport {
  readonly name: Device;
  readonly works: boolean;
  /** Of a device that works: milliseconds of PROBE_WORK. */
  readonly ms?: number;
  /** Of one that does not: why, and how to get it. */
  readonly reason?: string;
  readonly hint?: string;
}

/** Tries every device with a small roll-out, for `mesocast doctor`, and says which one `auto` takes, if any. */
export const probeDevices = async (
  threads?: number,
): Promise<{ readonly devices: readonly DeviceReport[]; readonly auto: Device | undefined }> => {
  const devices: DeviceReport[] = [];
  let auto: Device | undefined;
  for (const name of DEVICES) {
    const result = await probe(name, threads);
    if (result.works) {
      devices.push({ name, works: true, ms: result.ms });
      if (auto === undefined && isPlausible(name) && (!usesDriver(name) || !isSlow(result))) auto = name;
      continue;
    }
    const hint = result.hint ?? howToGet(name);
    devices.push({ name, works: false, reason: result.reason, ...(hint !== undefined && { hint }) });
  }
  return { devices, auto };
};
