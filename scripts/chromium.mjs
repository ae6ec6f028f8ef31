/**
 * A Chromium or Chrome for the user stories (e2e/*.spec.ts): one of this machine, else, on a Debian or Ubuntu where we are root, the
 * distribution's package. Never a download of its own.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import process from 'node:process';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'];
const PLACES = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  String.raw`C:\Program Files\Google\Chrome\Application\chrome.exe`,
  String.raw`C:\Program Files (x86)\Google\Chrome\Application\chrome.exe`,
];

/** CHROME_PATH, else one on the PATH or at a usual place; null when there is none. */
export function findChromium() {
  const onPath = (process.env.PATH ?? '').split(delimiter).flatMap((folder) => NAMES.map((name) => join(folder, name)));
  return [process.env.CHROME_PATH, ...onPath, ...PLACES].find((path) => path && existsSync(path)) ?? null;
}

/** Finds one, installing the distribution's where that is ours to do; null when there is none then. */
export function ensureChromium() {
  const found = findChromium();
  if (found || process.platform !== 'linux' || process.getuid() !== 0 || !existsSync('/usr/bin/apt-get')) return found;
  console.log('chromium: none here; installing the distribution’s (apt-get install chromium)');
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const aptGet = (...args) => spawnSync('apt-get', ['-qq', ...args], { env, stdio: ['ignore', 'ignore', 'inherit'] }).status === 0;
  const install = () => aptGet('install', '-y', '--no-install-recommends', 'chromium');
  if (!install() && aptGet('update')) install(); // a fresh machine has no package lists
  return findChromium();
}
