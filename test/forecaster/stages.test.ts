import { expect, test } from '@jest/globals';
import { buildNetwork } from '../../src/forecaster/forecaster.js';
import { networkConformance } from '../support/network-conformance.js';
import { tinySettings } from '../support/tiny.js';

const stage = (name: string, options: Record<string, unknown> = {}) => ({ name, options });
const conv = stage('conv', { width: 8 });
const small = stage('conv', { width: 8, latent: 8 });
const patches = (p: number, embed = 0) => stage('patch', { patch: p, embed });

networkConformance('conv, conv_lstm, conv', {
  encoder: small,
  predictor: stage('conv_lstm', { layers: 1, hidden: 8 }),
  decoder: conv,
});
networkConformance('patch, e3d_lstm, patch', {
  encoder: patches(4),
  predictor: stage('e3d_lstm', { layers: 1, hidden: 4, kernel: 3, history: 2 }),
  decoder: stage('patch'),
});
networkConformance('patch, convnext, patch', {
  encoder: patches(2, 6),
  predictor: stage('convnext', { depth: 2, channels: 8 }),
  decoder: stage('patch', { kernel: 3 }),
});
networkConformance('patch, convnext with memory, patch', {
  encoder: patches(1),
  predictor: stage('convnext', { depth: 1, channels: 8, kernel: 5, memory: 4 }),
  decoder: stage('patch'),
});
networkConformance('patch, resnet, patch', {
  encoder: patches(2),
  predictor: stage('resnet', { blocks: 1, channels: 8 }),
  decoder: stage('patch'),
});
networkConformance('patch, resnet with earlier frames, patch', {
  encoder: patches(2),
  predictor: stage('resnet', { blocks: 1, channels: 8, lags: [1, 3] }),
  decoder: stage('patch'),
});
networkConformance('patch, linear_prediction, patch', {
  encoder: patches(2, 4),
  predictor: stage('linear_prediction', { channels: 4, order: 1, spacing: 1 }),
  decoder: stage('patch'),
});
networkConformance('a predictor of your own', {
  encoder: patches(4),
  predictor: stage('./examples/my-predictor.mjs', { fields: 8, steps: 2 }),
  decoder: stage('patch'),
});

test('stages that do not fit are refused in words', async () => {
  await expect(buildNetwork(tinySettings({ encoder: patches(4), decoder: conv }))).rejects.toThrow(
    'decoder "conv" needs an encoder of stride 4 with a skip at stride 2',
  );
  await expect(
    buildNetwork(tinySettings({ decoder: stage('conv', { conserve: true, bounds: [0, 1] }) })),
  ).rejects.toThrow('conserve and bounds exclude each other');
  await expect(buildNetwork(tinySettings({ decoder: stage('conv', { bounds: [1, 0] }) }))).rejects.toThrow(
    '1 is not below 0',
  );
  await expect(
    buildNetwork(tinySettings({ decoder: stage('conv', { conserve: true, space: 'logit' }) })),
  ).rejects.toThrow('space=logit excludes conserve');
});
