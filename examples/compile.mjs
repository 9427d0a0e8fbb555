// TensorFlow.js functions at native speed: compile one, with its gradients, and train it.
//   node examples/compile.mjs
import * as tf from '@tensorflow/tfjs-core';
import { openEngine } from 'mesocast/engine';

const engine = await openEngine(); // the fastest device that works here; openEngine('cpu') for that one
console.log(`on ${engine.device}`);

// A pure function of named tensors: one step of gradient descent on a 3x3 filter. It is traced once, never run in
// JavaScript, so it may not look at values (no dataSync, no `if` on them).
const step = ({ image, target, filter }) => {
  const loss = (f) => tf.mean(tf.squaredDifference(tf.conv2d(image, f, 1, 'same'), target));
  const { value, grad } = tf.valueAndGrad(loss)(filter);
  return { loss: value, filter: tf.sub(filter, tf.mul(grad, 0.2)) };
};

const size = 64;
const frames = { shape: [1, size, size, 1], dtype: 'float32' };
const weights = { shape: [3, 3, 1, 1], dtype: 'float32' };
const program = await engine.compile(step, { image: frames, target: frames, filter: weights });

// The filter to be found shifts the image by one pixel to the right.
const image = Float32Array.from({ length: size * size }, () => Math.random());
const target = image.map((_, k) => (k % size === 0 ? 0 : image[k - 1]));

// Values go over once; the filter stays on the device from step to step.
const inputs = {
  image: await engine.upload({ ...frames, data: image }),
  target: await engine.upload({ ...frames, data: target }),
};
let filter = await engine.upload({ ...weights, data: new Float32Array(9) });
for (let n = 1; n <= 200; n++) {
  const { loss, filter: next } = await program.run({ ...inputs, filter });
  filter.release(); // handles are counted; each belongs to whoever got it
  filter = next;
  if (n % 50 === 0) console.log(`step ${n}: loss ${(await engine.read(loss)).data[0].toExponential(2)}`);
  loss.release();
}
const { data } = await engine.read(filter);
for (let row = 0; row < 3; row++)
  console.log([...data.slice(3 * row, 3 * row + 3)].map((v) => v.toFixed(2)).join(' '));

filter.release();
for (const handle of Object.values(inputs)) handle.release();
await program.dispose();
await engine.dispose();
