import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { EngineError, MesocastError, messageOf, StartupError, UsageError } from '../pipeline/errors.js';
import { eagerEngine } from './eager.js';
import { onnxEngine } from './onnx.js';
import { tensorflowEngine } from './tensorflow.js';
import type { Engine } from './types.js';

/** What `--device` takes besides `auto`. Providers first, fastest first: the order in which `auto` tries them. */
export const DEVICES = [
  'tensorrt',
  'cuda',
  'coreml',
  'dml',
  'webgpu',
  'cpu',
  'tensorflow',
  'reference',
] as const;
export type Device = (typeof DEVICES)[number];

const HOW_TO_GET: Partial<Record<Device, string>> = {
  cuda: 'needs an NVIDIA GPU with CUDA 12 and cuDNN 9: run `node node_modules/onnxruntime-node/script/install` with network access',
  tensorrt: 'comes with the CUDA libraries (see cuda), and needs TensorRT 10',
  webgpu: 'needs a Vulkan, Metal or Direct3D 12 driver',
  coreml: 'macOS only',
  dml: 'Windows only',
};

/** Where ONNX Runtime's script puts the CUDA libraries. */
const hasCudaLibraries = (): boolean => {
  const folder = dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'));
  const libraries = join(folder, 'bin', 'napi-v6', process.platform, process.arch);
  return (
    existsSync(join(libraries, 'libonnxruntime_providers_shared.so')) ||
    existsSync(join(libraries, 'onnxruntime_providers_shared.dll'))
  );
};

/** A GPU that Vulkan could drive. Without one, a software driver would be slower than the cpu provider. */
const hasGpuNode = (): boolean =>
  process.platform !== 'linux' ||
  ['/dev/dri/renderD128', '/dev/nvidiactl', '/dev/dxg'].some((path) => existsSync(path));

/** Why a device cannot work here, as far as that is known without loading native code (which prints its own errors). */
const known = (device: Device): string | undefined => {
  if (device === 'coreml' && process.platform !== 'darwin') return 'this is not macOS';
  if (device === 'dml' && process.platform !== 'win32') return 'this is not Windows';
  if ((device === 'cuda' || device === 'tensorrt') && !hasCudaLibraries())
    return "ONNX Runtime's CUDA libraries are not installed";
  return undefined;
};

const start = async (device: Device, threads: number | undefined): Promise<Engine> => {
  const reason = known(device);
  if (reason !== undefined) throw new EngineError(reason);
  if (device === 'reference') return eagerEngine('cpu', 'reference (tfjs cpu)');
  if (device === 'tensorflow') return tensorflowEngine(threads);
  return onnxEngine({ provider: device, ...(threads === undefined ? {} : { threads }) });
};

/** What the failure itself says to do. */
const hintOf = (failure: unknown): string | undefined =>
  failure instanceof MesocastError ? failure.hint : undefined;

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

/**
 * An engine on the device, tried out. `auto` takes the first of DEVICES that works.
 * @throws UsageError for an unknown name, StartupError with reason and hint for a device that does not work here
 */
export const openEngine = async (device = 'auto', threads?: number): Promise<Engine> => {
  if (device !== 'auto' && !DEVICES.includes(device as Device)) {
    throw new UsageError(`unknown device "${device}"`, { hint: `choose one of auto, ${DEVICES.join(', ')}` });
  }
  const wanted =
    device === 'auto' ? DEVICES.filter((name) => name !== 'webgpu' || hasGpuNode()) : [device as Device];
  let failure: unknown;
  for (const name of wanted) {
    let engine: Engine | undefined;
    try {
      engine = await start(name, threads);
      await tryOut(engine);
      return engine;
    } catch (error) {
      failure ??= error;
      await engine?.dispose();
    }
  }
  const reason = messageOf(failure);
  throw new StartupError(`device ${device} does not work here: ${reason}`, {
    cause: failure,
    hint: hintOf(failure) ?? HOW_TO_GET[device as Device] ?? 'see `mesocast doctor`',
  });
};

export interface DeviceReport {
  readonly name: Device;
  readonly works: boolean;
  readonly reason?: string;
  readonly hint?: string;
}

/** Tries every device, for `mesocast doctor`. The first that works is what `auto` takes. */
export const probeDevices = async (): Promise<readonly DeviceReport[]> => {
  const reports: DeviceReport[] = [];
  for (const name of DEVICES) {
    try {
      // As `auto` does; trying would make the graphics library print its own complaints.
      if (name === 'webgpu' && !hasGpuNode()) throw new EngineError('there is no GPU here');
      const engine = await openEngine(name);
      await engine.dispose();
      reports.push({ name, works: true });
    } catch (error) {
      const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
      const hint = hintOf(cause) ?? HOW_TO_GET[name];
      reports.push({
        name,
        works: false,
        reason: messageOf(cause).split('\n')[0] ?? '',
        ...(hint === undefined ? {} : { hint }),
      });
    }
  }
  return reports;
};
