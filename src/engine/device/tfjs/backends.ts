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
export type TfjsBackend = 'tfjs-cpu' | 'tfjs-wasm' | 'tfjs-node' | 'tfjs-node-gpu';

/** What is open: TensorFlow.js's core, the backend's name in it, and one line for people, the device's name first. */
export type OpenBackend = { tf: TensorFlow; backend: string; description: string };

/** Packages of TensorFlow itself: hundreds of megabytes that their install scripts download, so a person installs them. */
const PACKAGES = { 'tfjs-node': '@tensorflow/tfjs-node', 'tfjs-node-gpu': '@tensorflow/tfjs-node-gpu' };
const PACKAGE_VERSION = '4.22.0';

/** What tfjs-node's backend says of itself. */
type NodeBackend = { binding: { TF_Version: string }; isUsingGpuDevice: boolean };

// not called `require`: the bundler has one of its own
const load = createRequire(import.meta.url);
/** Core holds the registry of kernels: the one instance that the package asking for it finds, so CommonJS and never bundled. */
function core(from: NodeJS.Require): TensorFlow {
  const tf = from('@tensorflow/tfjs-core') as TensorFlow;
  tf.enableProdMode(); // no advice on the console, no checks for NaN at every op
  return tf;
}

export async function openBackend(name: TfjsBackend): Promise<OpenBackend> {
  const opened = name === 'tfjs-cpu' ? openCpu() : name === 'tfjs-wasm' ? openWasm() : openTensorFlow(name);
  if (!(await opened.tf.setBackend(opened.backend))) throw new Error(`${name}: the backend did not start`);
  return opened;
}

function openCpu(): OpenBackend {
  const tf = core(load);
  load('@tensorflow/tfjs-backend-cpu');
  return { tf, backend: 'cpu', description: 'tfjs-cpu, TensorFlow.js in JavaScript, 1 thread' };
}

function openWasm(): OpenBackend {
  const path = load.resolve('@tensorflow/tfjs-backend-wasm');
  (load(path) as { setWasmPaths(folder: string): void }).setWasmPaths(join(dirname(path), '/'));
  return { tf: core(load), backend: 'wasm', description: 'tfjs-wasm, TensorFlow.js in WebAssembly' };
}

function openTensorFlow(name: keyof typeof PACKAGES): OpenBackend {
  // functions that Node dropped, or warns about, and the packages still call
  Object.assign(util, { isNullOrUndefined: (value: unknown) => value === null || value === undefined, isArray: Array.isArray });
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '3';
  const install = `npm install --no-save ${PACKAGES[name]}@${PACKAGE_VERSION}`;
  try {
    load(PACKAGES[name]);
  } catch (error) {
    const message = (error as Error).message.split('\n')[0];
    const reason = message.includes(`'${PACKAGES[name]}'`) ? `${PACKAGES[name]} is not installed` : message;
    throw new Error(`${name}: ${reason}; to install it where Attune is: ${install}`, { cause: error });
  }
  const tf = core(createRequire(load.resolve(PACKAGES[name])));
  const { binding, isUsingGpuDevice } = tf.findBackend('tensorflow') as unknown as NodeBackend;
  if (name === 'tfjs-node-gpu' && !isUsingGpuDevice) {
    throw new Error('tfjs-node-gpu: TensorFlow finds no GPU that it can use; it needs an NVIDIA driver, and CUDA 11.2 and cuDNN 8.1 where the system looks for libraries (LD_LIBRARY_PATH on Linux)');
  }
  return { tf, backend: 'tensorflow', description: `${name}, TensorFlow ${binding.TF_Version} on the ${isUsingGpuDevice ? 'GPU (CUDA)' : 'CPU'}` };
}

