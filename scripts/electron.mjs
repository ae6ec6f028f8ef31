/**
 * Electron's binary, which npm does not bring: where it is, and fetching it once, with progress. Run as a program (on the pinned Node,
 * which Electron's own installer needs) it fetches; imported, it answers.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { node24 } from './setup.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const electron = join(root, 'node_modules', 'electron');
/** Left by a fetch that failed, so that the next start is quick; after a day it is tried again. */
const failed = join(root, 'build', 'electron-failed');
const DAY = 24 * 3600 * 1000;

/** The path of the binary, or null. */
export function electronBinary() {
  const names = join(electron, 'path.txt');
  const name = existsSync(names) ? readFileSync(names, 'utf8') : 'electron';
  const binary = join(process.env.ELECTRON_OVERRIDE_DIST_PATH ?? join(electron, 'dist'), name);
  return existsSync(binary) ? binary : null;
}

/** Fetches it when it is not there: null when that is done, else why it could not be had, in a few words. */
export function fetchElectron() {
  if (electronBinary()) return null;
  const age = Date.now() - (statSync(failed, { throwIfNoEntry: false })?.mtimeMs ?? 0);
  if (age < DAY) return readFileSync(failed, 'utf8');
  console.error('electron: fetching its binary, once (about 120 MB)');
  const { status, stderr } = spawnSync(node24, [fileURLToPath(import.meta.url)], { stdio: ['ignore', 2, 'pipe'], encoding: 'utf8' });
  if (status === 0 && electronBinary()) return null;
  const reason = stderr.trim().split('\n').at(-1) || 'its installer failed';
  mkdirSync(join(root, 'build'), { recursive: true });
  writeFileSync(failed, reason);
  return reason;
}

/** Into Electron's cache first, telling how far it is; its installer then finds the archive there. */
async function fetchBinary() {
  const require = createRequire(join(electron, 'install.js'));
  const { downloadArtifact } = await import(pathToFileURL(require.resolve('@electron/get')).href);
  let shown = -1;
  await downloadArtifact({
    version: require('./package.json').version,
    artifactName: 'electron',
    platform: process.platform,
    arch: process.arch,
    cacheRoot: process.env.electron_config_cache,
    checksums: require('./checksums.json'),
    downloadOptions: {
      quiet: true,
      getProgressCallback({ percent }) {
        const tenth = Math.floor(percent * 10);
        if (tenth > shown) console.log(`electron: ${(shown = tenth) * 10} %`);
      },
    },
  });
  const { status } = spawnSync(process.execPath, [join(electron, 'install.js')], { stdio: 'inherit' });
  if (status !== 0) throw new Error('its archive could not be unpacked');
  rmSync(failed, { force: true });
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    await fetchBinary();
  } catch (error) {
    console.error(error.cause?.code ?? error.message);
    process.exit(1);
  }
}
