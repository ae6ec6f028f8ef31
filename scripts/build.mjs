/**
 * Builds the window and both shells into build/app/ (electron.vite.config.ts) when a source has changed since. Runs on the Node a person
 * has; the build itself runs on the pinned one. Not the native kernels: build-native.mjs.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { node24, setup } from './setup.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const output = join(root, 'build', 'app');
const stamp = join(output, 'stamp');
const whole = ['main/desktop.js', 'main/host.js', 'main/engine.js', 'main/find-thread.js', 'main/sandbox-worker.js', 'preload/index.cjs', 'renderer/index.html'];

/** What the build says is shown when it fails, or else only its length. */
export function build({ say = console.log } = {}) {
  const wanted = hashOfInputs();
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted && whole.every((file) => existsSync(join(output, file)))) return;
  const start = Date.now();
  rmSync(stamp, { force: true });
  const vite = join(root, 'node_modules', 'electron-vite', 'bin', 'electron-vite.js');
  const { status, error, stdout, stderr } = spawnSync(node24, [vite, 'build'], { cwd: root, encoding: 'utf8' });
  if (status !== 0) {
    process.stderr.write(stdout + stderr);
    throw new Error(`build: the window could not be built${error ? ` (${error.message})` : '; the reason is above'}`);
  }
  mkdirSync(output, { recursive: true });
  writeFileSync(stamp, wanted);
  say(`build: the window was built in ${((Date.now() - start) / 1000).toFixed(1)} s`);
}

function hashOfInputs() {
  const hash = createHash('sha256');
  const files = ['electron.vite.config.ts', 'package.json', 'package-lock.json'].map((name) => join(root, name));
  for (const entry of readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name); // `path` until Node 20.12
    // the message compiler writes beside what it reads
    const made = path.includes(join('renderer', 'paraglide')) || (path.includes('project.inlang') && entry.name !== 'settings.json');
    if (entry.isFile() && !entry.name.endsWith('.test.ts') && !made) files.push(path);
  }
  for (const file of files.sort()) hash.update(file.slice(root.length)).update('\0').update(readFileSync(file)).update('\0');
  return hash.digest('hex');
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await setup();
  try {
    build();
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
}
