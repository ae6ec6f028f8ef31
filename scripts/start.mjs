/**
 * `npm start`: makes the clone ready, builds the window when a source changed, and opens the workbench: in Electron where there are a
 * display and its binary, else, saying why in one line, in the browser. stdout carries the browser's URL and nothing else.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from './build.mjs';
import { electronBinary, fetchElectron } from './electron.mjs';
import { node24, setup } from './setup.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
/** Electron that ends so soon with an error never opened a window, ms. */
const TOO_SOON = 10_000;

const args = process.argv.slice(2);
const tell = (line) => console.error(`attune: ${line}`);

await setup({ quiet: true });
try {
  build({ say: (line) => console.error(line) });
} catch (error) {
  console.error(error.message);
  process.exit(1);
}

// these speak of a server: whoever gives one wants the browser host
const host = args.some((arg) => /^--(browser|no-open|port|host|renderer|help)\b|^-h$/.test(arg));
const why = host ? null : whyNoWindow();
if (host) exitLike(await run(node24, hostArguments()));
if (why) tell(`${why}: the workbench is served to the browser`);
else {
  const start = Date.now();
  // Chromium's sandbox refuses to run as root
  const end = await run(electronBinary(), [...(process.getuid?.() === 0 ? ['--no-sandbox'] : []), root, ...args]);
  if (!(end.code > 0 || end.signal) || end.asked || Date.now() - start > TOO_SOON) exitLike(end);
  tell(`Electron ended at once (${end.signal ?? `code ${end.code}`}): the workbench is served to the browser`);
}
exitLike(await run(node24, hostArguments()));

function hostArguments() {
  return ['--disable-warning=ExperimentalWarning', join(root, 'build', 'app', 'main', 'host.js'), ...args];
}

function whyNoWindow() {
  if (process.platform === 'linux' && !process.env.DISPLAY && !process.env.WAYLAND_DISPLAY) return 'there is no display';
  const reason = fetchElectron();
  return reason && `Electron's binary could not be had (${reason})`;
}

/** Until it ends. Ctrl-C in a terminal reaches it by itself: it is in our process group. */
function run(command, commandArguments) {
  return new Promise((resolve) => {
    const child = spawn(command, commandArguments, { stdio: 'inherit', cwd: process.cwd() });
    let asked = false;
    const pass = (signal) => {
      asked = true;
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    };
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
    for (const signal of signals) process.on(signal, pass);
    child.on('error', (error) => {
      tell(error.message);
      resolve({ code: 1, signal: null, asked });
    });
    child.on('exit', (code, signal) => {
      for (const name of signals) process.off(name, pass);
      resolve({ code, signal, asked });
    });
  });
}

function exitLike({ code, signal }) {
  process.exit(signal ? 128 + constants.signals[signal] : code);
}
