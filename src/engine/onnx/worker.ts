import { workerData } from 'node:worker_threads';
import { onnxRuntime } from './runtime.js';
import { serve } from '../worker/loop.js';

serve(onnxRuntime(workerData as string));
