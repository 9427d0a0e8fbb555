import { afterEach, expect, test } from '@jest/globals';
import { openEngine } from '../../src/engine/index.js';
import { probe } from '../../src/engine/devices/probe.js';
import { explainRuntimeError } from '../../src/engine/onnx/runtime-errors.js';
import { mesocast } from '../support/cli.js';

/** One that this platform cannot have, and why. */
const [absent, reason] =
  process.platform === 'win32' ? ['coreml', 'this is not macOS'] : ['dml', 'this is not Windows'];

afterEach(() => {
  delete process.env['NODE_OPTIONS'];
});

test('the first device of a list that works is taken, and why not those before it is told once', async () => {
  const notices: string[] = [];
  const engine = await openEngine(`${absent}, cpu,reference`, 1, (message) => notices.push(message));
  await engine.dispose();
  expect(engine.device).toBe('onnx cpu (1 threads)');
  expect(notices).toEqual([`computing on onnx cpu (1 threads), not on ${absent}: ${reason}`]);
});

test('one clear error when no device of a list works, or a name is none', async () => {
  await expect(openEngine(absent)).rejects.toMatchObject({
    tag: 'startup',
    message: `device ${absent} does not work here: ${reason}`,
    hint: expect.stringContaining(process.platform === 'win32' ? 'macOS' : 'Windows'),
  });
  await expect(openEngine(`${absent},${absent}`)).rejects.toMatchObject({
    message: `device ${absent},${absent} does not work here: ${absent}: ${reason}; ${absent}: ${reason}`,
  });
  await expect(openEngine('cpu,abacus')).rejects.toMatchObject({
    tag: 'usage',
    message: 'unknown device "abacus"',
  });
});

test('native code that ends the process does not end this one', async () => {
  process.env['NODE_OPTIONS'] = '--import=data:text/javascript,process.abort()';
  expect(await probe('cpu')).toMatchObject({
    works: false,
    reason: expect.stringMatching(/^its native code ends the process \((SIGABRT|exit code \d+)\)$/),
  });
});

test('doctor times what works, says why the rest does not, and names what auto takes', async () => {
  const { code, stdout } = await mesocast(['doctor', '--json'], {});
  const { devices, auto } = JSON.parse(stdout) as {
    devices: { name: string; works: boolean; ms?: number; reason?: string; hint?: string }[];
    auto: string;
  };
  expect(code).toBe(0);
  const found = Object.fromEntries(devices.map(({ name, ...report }) => [name, report]));
  expect(found['cpu']).toEqual({ works: true, ms: expect.any(Number) });
  expect(found[absent]).toEqual({ works: false, reason, hint: expect.any(String) });
  for (const { works, ms, reason: why } of devices) expect(works ? ms : why).toBeDefined();
  const engine = await openEngine();
  await engine.dispose();
  expect(engine.device).toContain(auto);
}, 300_000);

test.each([
  [
    "Non-zero status code returned while running Conv node. Name:'' Status Message: WebGPU device lost (2): GPU reset",
    /^the GPU was lost \(WebGPU device lost.*start again/,
  ],
  ['CUDA failure 719: unspecified launch failure ; GPU=0 ;', /^the GPU was lost .*CUDA failure 719/],
  ['CUDA failure 2: out of memory ; GPU=0 ; hostname=x', /too little free memory/],
  ['vkAllocateMemory failed with VK_ERROR_OUT_OF_DEVICE_MEMORY', /too little free memory/],
  [
    'CUDA failure 35: CUDA driver version is insufficient ; GPU=0',
    /^CUDA: CUDA driver version is insufficient$/,
  ],
  ['Failed to get a WebGPU adapter: No supported adapters', /^there is no driver that WebGPU can use$/],
  ['no available backend found. ERR: [dml] backend not found.', /^ONNX Runtime has no dml on this platform$/],
  [
    '/onnxruntime_src/onnxruntime/core/framework/bfc.cc:1 void f() a > b was false. Not enough',
    /^ONNX Runtime: Not enough$/,
  ],
])('%s, in words', (said, meaning) => {
  expect(explainRuntimeError(said)).toMatch(meaning);
});
