import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';

/** What `--device` takes besides `auto`: ONNX Runtime's providers in the order in which `auto` tries them, then the rest. */
export const DEVICES = [
  'cuda',
  'tensorrt',
  'webgpu',
  'coreml',
  'dml',
  'cpu',
  'tensorflow',
  'reference',
] as const;
export type Device = (typeof DEVICES)[number];

export const isDevice = (name: string): name is Device => DEVICES.some((device) => device === name);

/** Devices that are tried in a process of their own before they are used: a bad driver may end the process. */
export const usesDriver = (device: Device): boolean => !['cpu', 'tensorflow', 'reference'].includes(device);

const isLinuxX64 = process.platform === 'linux' && process.arch === 'x64';

const runtimeFolder = (): string =>
  dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'));

/** How to get a device that does not work here. */
export const howToGet = (device: Device): string | undefined => {
  const script = relative('', join(runtimeFolder(), 'script', 'install.js'));
  const hints: Partial<Record<Device, string>> = {
    cuda: `needs Linux x64, an NVIDIA GPU, CUDA 12 and cuDNN 9; ONNX Runtime's part of it is downloaded by \`node ${script} --onnxruntime-node-install=cuda12\``,
    tensorrt: 'needs what cuda needs, and TensorRT 10',
    webgpu:
      'needs a GPU with a Vulkan, Direct3D 12 or Metal driver; on Linux the Vulkan loader libvulkan1 too',
    coreml: 'part of macOS on Apple silicon',
    dml: 'part of Windows',
  };
  return hints[device];
};

const someExist = (...paths: string[]): boolean => paths.some((path) => existsSync(path));

/** WSL shows its GPUs as /dev/dxg. */
const hasNvidia = (): boolean => someExist('/dev/nvidiactl', '/dev/dxg');

/** A GPU that a driver could be there for. Vulkan may run without one, in software. */
const hasGpu = (): boolean => process.platform !== 'linux' || hasNvidia() || someExist('/dev/dri/renderD128');

/** Where ONNX Runtime's script puts the CUDA libraries. */
const hasCudaLibraries = (): boolean =>
  existsSync(join(runtimeFolder(), 'bin', 'napi-v6', 'linux', 'x64', 'libonnxruntime_providers_shared.so'));

/** Why a device cannot work on this machine, as far as that is known without loading native code. */
export const missing = (device: Device): string | undefined => {
  if (device === 'coreml' && process.platform !== 'darwin') return 'this is not macOS';
  if (device === 'dml' && process.platform !== 'win32') return 'this is not Windows';
  if (device === 'webgpu' && process.platform === 'linux' && !isLinuxX64)
    return "ONNX Runtime's npm package has no webgpu for Linux on other processors than x64";
  if (device === 'cuda' || device === 'tensorrt') {
    if (!isLinuxX64) return "ONNX Runtime's npm package has it for Linux x64 only";
    if (!hasNvidia()) return 'there is no NVIDIA GPU here';
    if (!hasCudaLibraries()) return "ONNX Runtime's CUDA libraries are not installed";
  }
  return undefined;
};

/**
 * Whether `auto` tries a device: its hardware may be here. An NVIDIA GPU without the CUDA libraries is tried too, so that
 * people hear of it. `reference` is for tests: an error is better than a run that is a hundred times slower.
 */
export const isPlausible = (device: Device): boolean => {
  if (device === 'reference') return false;
  if (device === 'cuda') return hasNvidia() && isLinuxX64;
  return missing(device) === undefined && (device !== 'webgpu' || hasGpu());
};
