/**
 * Makes a clone ready: npm packages when missing or stale, the pinned Node, the native kernels when missing or stale.
 * Runs on the Node a person has (20 or later), does nothing the second time, and needs nothing but npm and a C++ compiler.
 * Not a build: TypeScript runs as it is on the pinned Node 24.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const modules = join(root, 'node_modules');
const stamp = join(modules, '.attune-setup');
const windows = process.platform === 'win32';
/** The pinned Node 24 that everything else runs on. */
export const node24 = join(modules, 'node', 'bin', windows ? 'node.exe' : 'node');

/** Output of the steps goes to stderr when `quiet`, so that a command's stdout stays its own. */
export async function setup({ quiet = false } = {}) {
  const say = (line) => (quiet ? console.error(line) : console.log(line));
  const stdio = ['ignore', quiet ? 2 : 1, 2];
  const platform = `${process.platform} ${process.arch}`;
  const wanted = `${createHash('sha256').update(readFileSync(join(root, 'package-lock.json'))).digest('hex')} ${platform}`;
  const stamped = existsSync(stamp) ? readFileSync(stamp, 'utf8').trim() : '';

  const otherPlatform = stamped !== '' && !stamped.endsWith(platform);
  if (stamped !== wanted && (otherPlatform || !packagesMatchLock())) {
    say('setup: installing npm packages');
    run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { stdio, cwd: root, env: outerEnvironment(), shell: windows }, 'npm ci failed; its message is above');
  }
  if (!pinnedNodeWorks()) {
    // npm may have been told not to run install scripts: run the package's own, which links the binary from a registry package
    say('setup: placing the pinned Node');
    const where = { stdio, cwd: join(modules, 'node'), env: outerEnvironment() };
    run(outerNode(), ['installArchSpecificPackage.js'], where, 'the pinned Node could not be installed; run npm ci with install scripts allowed');
    if (!pinnedNodeWorks()) fail(`${node24} is not Node 24; delete node_modules and run npm run setup again`);
  }
  if (!windows) {
    link('node', join('..', 'node', 'bin', 'node')); // npm leaves it out when it may not run the install script
    link('attune', join('..', '..', 'scripts', 'attune.mjs')); // so that npx attune finds it
  }
  if (stamped !== wanted) writeFileSync(stamp, wanted + '\n');

  try {
    const { buildNative } = await import('./build-native.mjs'); // it needs the packages, so not before they are there
    const { built, seconds } = await buildNative();
    if (built) say(`setup: native kernels built in ${seconds.toFixed(0)} s`);
    const { buildCudaAddon, buildCudaKernelsForThisGpu } = await import('./build-cuda.mjs');
    await buildCudaAddon();
    try {
      const kernels = await buildCudaKernelsForThisGpu((gpu) => say(`setup: building CUDA kernels for this GPU (${gpu}), about a minute`));
      if (kernels) say(`setup: CUDA kernels built in ${kernels.seconds.toFixed(0)} s`);
    } catch (error) {
      say(`setup: the CUDA kernels could not be built, so the device cuda is not here: ${error.message}`);
    }
  } catch (error) {
    fail(error.message);
  }
}

/** True where somebody ran npm themselves: every package of the lockfile lies there at its version. */
function packagesMatchLock() {
  try {
    const read = (file) => JSON.parse(readFileSync(file, 'utf8')).packages;
    const installed = read(join(modules, '.package-lock.json'));
    return Object.entries(read(join(root, 'package-lock.json'))).every(
      ([path, { version, optional }]) => path === '' || (installed[path] ? installed[path].version === version : optional === true),
    );
  } catch {
    return false;
  }
}

function link(name, target) {
  const path = join(modules, '.bin', name);
  if (existsSync(path)) return;
  rmSync(path, { force: true }); // a link to nothing
  symlinkSync(target, path);
}

function pinnedNodeWorks() {
  if (!existsSync(node24)) return false;
  return spawnSync(node24, ['--version'], { encoding: 'utf8' }).stdout?.startsWith('v24.') === true;
}

/** Without this clone's node_modules on PATH: npm must not run on a Node that it is about to replace. */
function outerEnvironment() {
  const key = Object.keys(process.env).find((name) => name.toUpperCase() === 'PATH') ?? 'PATH';
  const path = (process.env[key] ?? '').split(delimiter).filter((entry) => !entry.startsWith(modules));
  return { ...process.env, [key]: path.join(delimiter) };
}

function outerNode() {
  return process.execPath.startsWith(modules) ? 'node' : process.execPath;
}

function run(command, args, options, message) {
  const { status, error } = spawnSync(command, args, options);
  if (status !== 0) fail(error ? `${message} (${error.message})` : message);
}

function fail(message) {
  console.error(`setup: ${message}`);
  process.exit(1);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await setup();
