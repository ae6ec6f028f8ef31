/**
 * Which TensorFlow.js runs the kernels: the JavaScript and WebAssembly backends that come with Attune, or TensorFlow itself (on the CPU, or by CUDA on
 * NVIDIA cards) where a person has installed its package. Loads only what is chosen, and says what really runs: the GPU package goes on on the
 * CPU with no more than a warning when a CUDA library is missing, which is an error here.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { default as util } from 'node:util';
import type * as TF from '@tensorflow/tfjs-core';

export type TensorFlow = typeof TF;
export type TfjsBackend = 'cpu' | 'wasm' | 'tensorflow' | 'tensorflow-gpu';

/** What is open: TensorFlow.js's core, the backend's name in it, and one line for people. */
export type OpenBackend = { tf: TensorFlow; backend: string; description: string };

/** Packages of TensorFlow itself: hundreds of megabytes that their install scripts download, so a person installs them. */
const PACKAGES = { tensorflow: '@tensorflow/tfjs-node', 'tensorflow-gpu': '@tensorflow/tfjs-node-gpu' };
const PACKAGE_VERSION = '4.22.0';

/** What tfjs-node's backend says of itself. */
type NodeBackend = { binding: { TF_Version: string }; isUsingGpuDevice: boolean };

const require = createRequire(import.meta.url);
/** Core holds the registry of kernels: the one instance that the package asking for it finds, so CommonJS and never bundled. */
const core = (from: NodeJS.Require): TensorFlow => from('@tensorflow/tfjs-core') as TensorFlow;

export async function openBackend(name: TfjsBackend): Promise<OpenBackend> {
  const opened = name === 'cpu' ? openCpu() : name === 'wasm' ? openWasm() : openTensorFlow(name);
  if (!(await opened.tf.setBackend(opened.backend))) throw new Error(`tfjs device: the ${name} backend did not start.`);
  return opened;
}

function openCpu(): OpenBackend {
  require('@tensorflow/tfjs-backend-cpu');
  return { tf: core(require), backend: 'cpu', description: 'TensorFlow.js in JavaScript, 1 thread' };
}

function openWasm(): OpenBackend {
  const path = require.resolve('@tensorflow/tfjs-backend-wasm');
  (require(path) as { setWasmPaths(folder: string): void }).setWasmPaths(join(dirname(path), '/'));
  return { tf: core(require), backend: 'wasm', description: 'TensorFlow.js in WebAssembly' };
}

function openTensorFlow(name: keyof typeof PACKAGES): OpenBackend {
  // functions that Node dropped and the packages still call
  const node = util as unknown as Record<string, unknown>;
  node.isNullOrUndefined ??= (value: unknown) => value === null || value === undefined;
  node.isArray ??= Array.isArray;
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '3';
  const install = `npm install --no-save ${PACKAGES[name]}@${PACKAGE_VERSION}`;
  try {
    require(PACKAGES[name]);
  } catch (error) {
    const message = (error as Error).message.split('\n')[0];
    const reason = message.includes(`'${PACKAGES[name]}'`) ? `${PACKAGES[name]} is not installed` : message;
    throw new Error(`tfjs device: ${reason}; to install it: ${install}`, { cause: error });
  }
  const tf = core(createRequire(require.resolve(PACKAGES[name])));
  const { binding, isUsingGpuDevice } = tf.findBackend('tensorflow') as unknown as NodeBackend;
  if (name === 'tensorflow-gpu' && !isUsingGpuDevice) {
    throw new Error('tfjs device: TensorFlow finds no GPU that it can use; it needs an NVIDIA driver, CUDA 11.2 and cuDNN 8.1 on the library path.');
  }
  return { tf, backend: 'tensorflow', description: `TensorFlow ${binding.TF_Version} on the ${isUsingGpuDevice ? 'GPU (CUDA)' : 'CPU'}` };
}

