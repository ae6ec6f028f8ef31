#!/usr/bin/env node
// Builds native/ (not native/cuda/: build-cuda.mjs) into build/native/attune.node with the C++ compiler at hand: no node-gyp, no headers to download
// (node-addon-api and node-api-headers bring them). Each kernel file is compiled once per instruction set; dispatch.cpp
// chooses when the addon is loaded. Runs on plain Node 20. Does nothing when sources, compiler and flags are unchanged.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const sources = join(root, 'native');
const output = join(root, 'build', 'native');
const addon = join(output, 'attune.node');
const require = createRequire(import.meta.url);

/** See Node's headers. */
const borderFiles = ['addon.cpp', 'addon_memory.cpp'];
/** Compiled once, for any processor of the family. The other .cpp files hold kernels. */
const plainFiles = [...borderFiles, 'context.cpp', 'dispatch.cpp', 'mapping.cpp', 'memory.cpp', 'together.cpp'];

/** Instruction set → compiler flags. */
const instructionSets = {
  x64: {
    avx512: ['-mavx512f', '-mavx512bw', '-mavx512vl', '-mavx512dq', '-mavx2', '-mfma'],
    avx2: ['-mavx2', '-mfma'],
    portable: [],
  },
  arm64: { neon: [] },
}[process.arch] ?? { portable: [] };

export const flags = [
  '-O3', '-std=c++20', '-fPIC', '-pthread', '-fvisibility=hidden', '-fno-math-errno', '-fno-trapping-math',
  '-ffp-contract=fast', '-DNDEBUG',
];
export const addonFlags = ['-DNAPI_VERSION=9', '-DNAPI_CPP_EXCEPTIONS', '-DNODE_ADDON_API_DISABLE_DEPRECATED', '-O1'];
export const linkFlags = process.platform === 'darwin' ? ['-bundle', '-undefined', 'dynamic_lookup'] : ['-shared', '-static-libgcc'];

const remedy =
  'install one (Debian/Ubuntu: apt-get install g++; Fedora: dnf install gcc-c++; macOS: xcode-select --install), or name yours in CXX';

/** First compiler that answers, as { command, version }. */
export function findCompiler() {
  for (const command of process.env.CXX ? [process.env.CXX] : ['g++', 'clang++', 'c++']) {
    const answer = spawnSync(command, ['--version'], { encoding: 'utf8' });
    if (answer.status === 0) return { command, version: answer.stdout.split('\n')[0] };
  }
  throw new Error(`build-native: no C++20 compiler found (tried ${process.env.CXX ?? 'g++, clang++, c++'}); ${remedy}.`);
}

export function compile(command, args, what) {
  return new Promise((done, fail) => {
    const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'pipe'] });
    let text = '';
    child.stderr.setEncoding('utf8').on('data', (chunk) => (text += chunk));
    child.on('error', fail);
    child.on('close', (status) => {
      if (status === 0) return done();
      process.stderr.write(text);
      const need = 'a compiler with C++20 is needed (g++ 11, clang 13 or newer)';
      fail(new Error(`build-native: ${command} failed (exit ${status}) on ${what}; ${need}.`));
    });
  });
}

/** Builds when needed; returns { built, seconds, compiler }. */
export async function buildNative() {
  const started = Date.now();
  const compiler = findCompiler();
  const napi = dirname(require.resolve('node-addon-api'));
  const headers = join(dirname(require.resolve('node-api-headers/package.json')), 'include');
  const files = readdirSync(sources).filter((name) => /\.(h|cpp)$/.test(name)).sort();
  const { arch, platform } = process;
  const common = createHash('sha256').update(
    JSON.stringify([compiler.version, arch, platform, flags, addonFlags, linkFlags, instructionSets]),
  );
  for (const name of files) if (name.endsWith('.h')) common.update(name).update(readFileSync(join(sources, name)));
  const commonHash = common.digest('hex');

  mkdirSync(output, { recursive: true });
  const jobs = [];
  for (const name of files.filter((each) => each.endsWith('.cpp'))) {
    const plain = plainFiles.includes(name);
    for (const [set, setFlags] of plain ? [['', []]] : Object.entries(instructionSets)) {
      const text = readFileSync(join(sources, name));
      const hash = createHash('sha256').update(commonHash).update(name).update(set).update(text).digest('hex').slice(0, 16);
      const object = join(output, `${name.slice(0, -4)}${set && `-${set}`}-${hash}.o`);
      const border = borderFiles.includes(name) ? [...addonFlags, `-I${napi}`, `-I${headers}`] : [];
      const extra = plain ? border : [...setFlags, `-DATTUNE_ISA=${set}`];
      jobs.push({ object, args: [...flags, ...extra, '-c', join(sources, name)] });
    }
  }
  const stamp = createHash('sha256').update(jobs.map((job) => job.object.slice(output.length)).join()).digest('hex');
  const stampFile = join(output, 'stamp');
  if (existsSync(addon) && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) {
    return { built: false, seconds: (Date.now() - started) / 1000, compiler };
  }

  // addon.cpp takes longest: first in the queue.
  const isAddon = (job) => Number(job.args.at(-1).endsWith('addon.cpp'));
  const queue = jobs.filter((job) => !existsSync(job.object)).sort((a, b) => isAddon(b) - isAddon(a));
  const worker = async () => {
    for (let job; (job = queue.shift()); ) {
      const part = `${job.object}.${process.pid}`; // renamed when whole: an interrupted build leaves no broken object
      await compile(compiler.command, ['-o', part, ...job.args], job.args.at(-1));
      renameSync(part, job.object);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  const whole = `${addon}.${process.pid}`;
  await compile(compiler.command, ['-pthread', ...linkFlags, '-o', whole, ...jobs.map((job) => job.object)], 'linking attune.node');
  renameSync(whole, addon);
  writeFileSync(stampFile, stamp);
  const wanted = new Set(jobs.map((job) => job.object));
  // Objects of older sources go, unless young: another build may be about to link them.
  for (const name of readdirSync(output)) {
    const path = join(output, name);
    if (!/\.(o|node)(\.\d+)?$/.test(name) || path === addon || name === 'attune-cuda.node' || wanted.has(path)) continue;
    const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Infinity);
    if (age > 3_600_000) rmSync(path, { force: true });
  }
  return { built: true, seconds: (Date.now() - started) / 1000, compiler };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    const { built, seconds, compiler } = await buildNative();
    console.log(built ? `Native kernels built in ${seconds.toFixed(0)} s with ${compiler.version}.` : 'Native kernels are up to date.');
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
