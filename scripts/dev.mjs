/**
 * `npm run dev`: the workbench from its sources, following changes. The window's parts are replaced as they are saved (Vite); main starts
 * again when one of its files changes, and the window connects to it anew. In Electron where that can be opened, else, or with --browser, in
 * the browser.
 * Everything the window loads goes through main, under the same rules and headers as the built one.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { electronBinary } from './electron.mjs';
import { node24, setup } from './setup.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const args = process.argv.slice(2);
const display = process.platform !== 'linux' || process.env.DISPLAY || process.env.WAYLAND_DISPLAY;
const warnings = '--disable-warning=ExperimentalWarning';

await setup();
if (process.version.split('.')[0] !== 'v24') await again();
else if (!args.includes('--browser') && display && electronBinary()) inElectron();
else await inBrowser();

/** On the pinned Node, which Vite and the sources need. */
async function again() {
  const child = spawn(node24, [fileURLToPath(import.meta.url), ...args], { stdio: 'inherit', cwd: root });
  process.on('SIGINT', () => {}); // it gets it too
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  child.on('exit', (code) => process.exit(code ?? 1));
}

/** electron-vite builds main and preload, follows them, and starts Electron with its dev server for the window. */
function inElectron() {
  const vite = join(root, 'node_modules', 'electron-vite', 'bin', 'electron-vite.js');
  const sandbox = process.getuid?.() === 0 ? ['--noSandbox'] : [];
  spawn(node24, [vite, 'dev', '--watch', ...sandbox], { stdio: 'inherit', cwd: root }).on('exit', (code) => process.exit(code ?? 1));
}

function freePort() {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

async function inBrowser() {
  const { loadConfigFromFile } = await import('electron-vite');
  const vite = await import('vite');
  const { config } = await loadConfigFromFile({ command: 'serve', mode: 'development' }, join(root, 'electron.vite.config.ts'), root);
  const port = await freePort();
  const server = await vite.createServer({
    ...config.renderer,
    root: join(root, config.renderer.root),
    configFile: false,
    // the page comes from the host, so its client must be told where Vite itself is
    server: { host: '127.0.0.1', port, strictPort: true, hmr: { host: '127.0.0.1', clientPort: port } },
  });
  await server.listen();
  const main = [warnings, '--watch', '--watch-preserve-output', join(root, 'src', 'main', 'host.ts')];
  const host = spawn(node24, [...main, '--renderer', `http://127.0.0.1:${port}`, ...args], {
    stdio: 'inherit',
    cwd: root,
    // the same session after every start of main
    env: { ...process.env, ATTUNE_DEV_TOKEN: randomBytes(32).toString('base64url') },
  });
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => host.kill('SIGTERM'));
  host.on('exit', async (code) => {
    await server.close();
    process.exit(code ?? 1);
  });
}
