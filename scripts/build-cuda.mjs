#!/usr/bin/env node
// Builds native/cuda/. The addon, which loads NVIDIA's driver where there is one, wants a C++ compiler alone and is built by setup on every machine. The
// kernels want nvcc: setup builds them where nvcc and a GPU are found, for that GPU; `npm run build:cuda` for all GPUs since Ampere, wherever nvcc is.
// The emulated driver, the same kernels compiled as C++, is for tests, which build it themselves. Nothing is done twice.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { addonFlags, compile, findCompiler, flags, linkFlags } from './build-native.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const sources = join(root, 'native', 'cuda');
const output = join(root, 'build', 'native');
const require = createRequire(import.meta.url);

/** Code for Ampere (which Ada runs) and Hopper, and PTX that the driver of a later GPU compiles. */
const EVERY_GPU = ['arch=compute_80,code=sm_80', 'arch=compute_90,code=sm_90', 'arch=compute_90,code=compute_90'];

/** Of the files in native/cuda/ with one of these endings, folders below it too. */
function hashOfSources(endings, ...more) {
  const hash = createHash('sha256').update(JSON.stringify(more));
  const files = readdirSync(sources, { recursive: true }).filter((name) => endings.test(name)).sort();
  for (const name of files) hash.update(name).update(readFileSync(join(sources, name)));
  return hash.digest('hex');
}

/** Builds `name` unless a stamp beside it says that it is of these inputs; renames it in when whole. */
async function once(name, stamp, command, args, what) {
  const started = Date.now();
  const [path, stampPath] = [join(output, name), join(output, `${name}.stamp`)];
  if (existsSync(path) && existsSync(stampPath) && readFileSync(stampPath, 'utf8').startsWith(stamp)) return { path, built: false, seconds: 0 };
  mkdirSync(output, { recursive: true });
  const part = `${path}.${process.pid}`;
  await compile(command, [...args, '-o', part], what);
  renameSync(part, path);
  writeFileSync(stampPath, stamp);
  return { path, built: true, seconds: (Date.now() - started) / 1000 };
}

/** build/native/attune-cuda.node */
export function buildCudaAddon() {
  const { command, version } = findCompiler();
  const includes = [`-I${dirname(require.resolve('node-addon-api'))}`, `-I${join(dirname(require.resolve('node-api-headers/package.json')), 'include')}`];
  const all = [...flags, ...addonFlags, ...linkFlags];
  const files = ['addon.cpp', 'cublas_lt.cpp', 'device.cpp', 'graphs.cpp', 'driver_library.cpp', 'pages.cpp', 'queue.cpp'].map((name) => join(sources, name));
  const libraries = process.platform === 'linux' ? ['-ldl'] : [];
  return once('attune-cuda.node', hashOfSources(/^[^/\\]+\.(h|cpp)$/, version, process.arch, all), command, [...all, ...includes, ...files, ...libraries], 'native/cuda/addon.cpp');
}

/** build/native/emulated-cuda.so: what tests put in the driver's place. */
export function buildEmulatedDriver() {
  const { command, version } = findCompiler();
  // longjmp goes from stack to stack here, which a fortified one takes for a fault
  const all = ['-O3', '-std=c++20', '-fPIC', '-shared', '-fvisibility=hidden', '-U_FORTIFY_SOURCE', '-Wno-unknown-pragmas'];
  return once('emulated-cuda.so', hashOfSources(/\.(h|cpp|cu|cuh)$/, version, process.arch, all), command, [...all, ...['driver.cpp', 'cublas_lt.cpp'].map((name) => join(sources, 'emulator', name))], 'native/cuda/emulator');
}

/** The compiler of CUDA's kernels as { command, version }, or null. */
export function findNvcc() {
  for (const command of ['nvcc', '/usr/local/cuda/bin/nvcc']) {
    const answer = spawnSync(command, ['--version'], { encoding: 'utf8' });
    if (answer.status === 0) return { command, version: answer.stdout.trim().split('\n').at(-1) };
  }
  return null;
}

/** Holds native/cuda/cublas_lt_api.h to NVIDIA's cublasLt.h in a folder that ATTUNE_CUDA_INCLUDE names or a toolkit's. False where there is none. */
export async function checkCublasLt() {
  const { ATTUNE_CUDA_INCLUDE = '', CUDA_HOME, CUDA_PATH } = process.env;
  const toolkits = [CUDA_HOME, CUDA_PATH, '/usr/local/cuda'].filter(Boolean).map((home) => join(home, 'include'));
  const folders = [...ATTUNE_CUDA_INCLUDE.split(delimiter).filter(Boolean), ...toolkits];
  const found = ['cublasLt.h', 'library_types.h'].every((name) => folders.some((folder) => existsSync(join(folder, name))));
  const includes = folders.map((folder) => `-I${folder}`);
  if (found) await compile(findCompiler().command, ['-std=c++20', '-fsyntax-only', ...includes, join(sources, 'check_cublas_lt.cpp')], 'native/cuda/check_cublas_lt.cpp');
  return found;
}

/** build/native/attune.fatbin for these of nvcc's --gencode values. */
async function buildCudaKernels(nvcc, gpus) {
  const all = ['-std=c++17', '-O3', '-fatbin', '--threads', '0', ...gpus.flatMap((gpu) => ['-gencode', gpu])];
  const check = join(output, `check-driver.${process.pid}.o`);
  await compile(nvcc.command, ['-std=c++17', '-c', join(sources, 'check_driver.cu'), '-o', check], 'native/cuda/check_driver.cu');
  rmSync(check);
  return once('attune.fatbin', `${hashOfSources(/\.(cu|cuh)$/, nvcc.version)} ${gpus.join(' ')}`, nvcc.command, [...all, join(sources, 'kernels.cu')], 'native/cuda/kernels.cu');
}

/** For setup: where nvcc and an NVIDIA GPU are found and no kernels of these sources, whatever GPU they are for. */
export async function buildCudaKernelsForThisGpu(say) {
  const asked = spawnSync('nvidia-smi', ['--query-gpu=compute_cap', '--format=csv,noheader'], { encoding: 'utf8' });
  const capability = asked.status === 0 ? asked.stdout.split('\n')[0].trim().replace('.', '') : '';
  const nvcc = Number(capability) >= 80 ? findNvcc() : null;
  if (!nvcc) return null;
  const [stamp, sourceHash] = [join(output, 'attune.fatbin.stamp'), hashOfSources(/\.(cu|cuh)$/, nvcc.version)];
  if (existsSync(join(output, 'attune.fatbin')) && existsSync(stamp) && readFileSync(stamp, 'utf8').startsWith(sourceHash)) return null;
  say(`sm_${capability}`);
  return buildCudaKernels(nvcc, [`arch=compute_${capability},code=sm_${capability}`]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    const nvcc = findNvcc();
    if (!nvcc) throw new Error('build-cuda: nvcc is not found; install the CUDA toolkit (version 12 or newer), or put its bin folder on PATH.');
    await buildCudaAddon();
    await checkCublasLt();
    const { built, seconds } = await buildCudaKernels(nvcc, EVERY_GPU);
    console.log(built ? `CUDA kernels built in ${seconds.toFixed(0)} s with ${nvcc.version}.` : 'CUDA kernels are up to date.');
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
