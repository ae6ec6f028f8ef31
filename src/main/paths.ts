/**
 * Where the program's own files lie: the same tree whether main runs from its sources (src/main/*.ts), from the bundle (build/app/main/*.js)
 * or from a packaged app, so the root is found by walking up to package.json. In a package main and the renderer are inside app.asar;
 * what another process must open (the engine, its addon, models, the pinned Node) lies unpacked beside it. The library is not here: library.ts.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const fromSources = import.meta.filename.endsWith('.ts');

const root = findRoot(import.meta.dirname);
/** Real files, which any process can open. */
const unpacked = root.endsWith('.asar') ? `${root}.unpacked` : root;

export const VERSION = (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }).version;

/** Embedded models, datasets and recipes. */
export const RESOURCES = join(unpacked, 'resources');

/** Where bench/peers/run.mjs installs node-llama-cpp; a package has none. */
export const LLAMA_CPP = join(root, 'bench', 'peers', 'node_modules', 'node-llama-cpp');

/** The built window: index.html and its assets. */
export const RENDERER = join(root, 'build', 'app', 'renderer');
export const PRELOAD = join(root, 'build', 'app', 'preload', 'index.cjs');

/** What startEngine forks, and the Node it runs on: always the pinned one, never Electron's own. */
export const ENGINE = fromSources ? join(root, 'src', 'engine', 'index.ts') : join(unpacked, 'build', 'app', 'main', 'engine.js');
/** The thread that finds rows of datasets, in main's own process. */
export const FIND_THREAD = fromSources
  ? join(root, 'src', 'main', 'datasets', 'find-thread.ts')
  : join(unpacked, 'build', 'app', 'main', 'find-thread.js');
export const NODE = process.versions.electron
  ? join(unpacked, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
  : process.execPath;

function findRoot(folder: string): string {
  if (existsSync(join(folder, 'package.json'))) return folder;
  if (dirname(folder) === folder) throw new Error(`${import.meta.dirname}: no package.json in it or above: this copy of Attune is not whole`);
  return findRoot(dirname(folder));
}
