/**
 * The built workbench as the user stories meet it: a library of its own, the browser host or Electron, and a page. Anything the console calls an
 * error fails the test. Not a test; `attune.ts` beside it is the same for the command line.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AxeBuilder } from '@axe-core/playwright';
import { test as base, type Browser, chromium, _electron as electron, expect, type Page } from '@playwright/test';

export { expect } from '@playwright/test';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));
const APP = join(ROOT, 'build', 'app', 'main');
export const NODE = join(ROOT, 'node_modules', 'node', 'bin', 'node');

export type ShellOption = { shell: 'browser' | 'electron' };

export type Workbench = {
  page: Page;
  /** Folder for the test's own files; the library is in it. */
  folder: string;
  library: string;
  /** Goes to a screen: `#/runs/1`. */
  go(hash: string): Promise<void>;
  /** Another window on the same library. */
  openWindow(): Promise<Page>;
  /** Kills the whole workbench, as a power cut would, and starts it again; `page` is then the new one's. */
  crash(): Promise<Page>;
  /** Process numbers of the engines that run now. */
  engines(): number[];
  /** To all of them; one that has ended meanwhile (a question that was answered) is none of them. */
  signalEngines(signal: NodeJS.Signals): void;
  /** Messages the story expects the console to call errors. */
  allowErrors(pattern: RegExp): void;
};

type Running = { page: Page; openWindow(): Promise<Page>; pid: number; close(): Promise<void>; kill(): Promise<void> };

/** `late`: main's answers and events come that many ms late to a window in the browser. */
type Options = { locale: string; colorScheme: 'light' | 'dark'; late: number };

export const test = base.extend<ShellOption & { options: Options; workbench: Workbench }>({
  shell: ['browser', { option: true }],
  options: [{ locale: 'en-US', colorScheme: 'light', late: 0 }, { option: true }],
  async workbench({ shell, options }, use, info) {
    const missing = shell === 'electron' ? missingElectron() : missingBrowser();
    info.skip(missing !== null, missing ?? '');
    const folder = mkdtempSync(join(tmpdir(), 'attune-story-'));
    const library = join(folder, 'library');
    const errors: string[] = [];
    const allowed: RegExp[] = [];
    const watch = (page: Page): Page => {
      page.on('console', (message) => {
        if (message.type() === 'error') errors.push(message.text());
      });
      page.on('pageerror', (error) => errors.push(error.stack ?? error.message));
      return page;
    };
    const start = (): Promise<Running> => (shell === 'electron' ? startElectron(library, watch) : startBrowser(library, options, watch));
    let running = await start();
    const workbench: Workbench = {
      page: running.page,
      folder,
      library,
      async go(hash) {
        await workbench.page.evaluate((to) => void (location.hash = to), hash);
      },
      openWindow: () => running.openWindow(),
      async crash() {
        allowed.push(/ERR_CONNECTION_(?:REFUSED|RESET)|WebSocket|401|Failed to load/); // what its windows say of it
        await running.kill();
        running = await start();
        workbench.page = running.page;
        return running.page;
      },
      engines: () => enginesOf(running.pid),
      signalEngines(signal) {
        for (const pid of workbench.engines()) {
          try {
            process.kill(pid, signal);
          } catch (error) {
            if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
          }
        }
      },
      allowErrors: (pattern) => void allowed.push(pattern),
    };
    try {
      await use(workbench);
      if (info.status !== info.expectedStatus) await info.attach('screen', { body: await workbench.page.screenshot(), contentType: 'image/png' }).catch(() => {});
    } finally {
      await running.close();
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    }
    expect(errors.filter((error) => !allowed.some((pattern) => pattern.test(error))), 'errors in the console').toEqual([]);
  },
});

/** axe finds nothing serious or critical on the page as it stands; with `rules`, by those alone. */
export async function expectAccessible(page: Page, rules?: string[]): Promise<void> {
  // in the page itself, which has no frames: the other way opens a window for every answer
  const axe = new AxeBuilder({ page }).setLegacyMode().options({ resultTypes: ['violations'] });
  const { violations } = await (rules ? axe.withRules(rules) : axe).analyze();
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  expect(serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`)).toEqual([]);
}

/** Runs a command by the palette. Keys pressed before it has the focus, or before it has found the command, would be nobody's or another's. */
export async function runCommand(page: Page, words: string): Promise<void> {
  await page.keyboard.press('ControlOrMeta+k');
  await expect(page.getByRole('dialog').getByRole('combobox')).toBeFocused();
  await page.keyboard.type(words);
  await expect(page.getByRole('dialog').getByRole('option', { selected: true })).toContainText(new RegExp(words, 'i'));
  await page.keyboard.press('Enter');
}

async function startBrowser(library: string, { locale, colorScheme, late }: Options, watch: (page: Page) => Page): Promise<Running> {
  const host = spawn(NODE, [join(APP, 'host.js'), '--port', '0', '--no-open'], {
    env: { ...process.env, ATTUNE_HOME: library, SSH_CONNECTION: '', ATTUNE_LLAMA_CPP: '' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const url = await readUrl(host);
  const browser: Browser = await chromium.launch({ executablePath: findChromium()!, args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] });
  const context = await browser.newContext({ locale, colorScheme, viewport: { width: 1280, height: 800 } });
  if (late > 0) await context.addInitScript(delayAnswers, late);
  const openWindow = async (): Promise<Page> => {
    const page = watch(await context.newPage());
    await page.goto(url);
    await page.getByRole('navigation').first().waitFor(); // keys pressed before the window stands are nobody's
    return page;
  };
  const ended = new Promise<void>((resolve) => host.once('exit', () => resolve()));
  return {
    page: await openWindow(),
    openWindow,
    pid: host.pid!,
    async close() {
      await browser.close();
      host.kill('SIGTERM');
      await ended;
    },
    async kill() {
      host.kill('SIGKILL');
      await ended;
      await browser.close();
    },
  };
}

/** In the page, before its own scripts: what comes over a WebSocket is heard of `late` ms after it came. */
function delayAnswers(late: number): void {
  const listen = WebSocket.prototype.addEventListener as (this: WebSocket, type: string, listener: (event: Event) => void, options?: unknown) => void;
  WebSocket.prototype.addEventListener = function (this: WebSocket, type: string, listener: (event: Event) => void, options?: unknown): void {
    listen.call(this, type, type === 'message' ? (event) => setTimeout(() => listener.call(this, event), late) : listener, options);
  } as typeof WebSocket.prototype.addEventListener;
}

async function startElectron(library: string, watch: (page: Page) => Page): Promise<Running> {
  const app = await electron.launch({
    args: [join(APP, 'desktop.js'), ...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])],
    env: { ...(process.env as Record<string, string>), ATTUNE_HOME: library, ATTUNE_LLAMA_CPP: '' },
  });
  const page = watch(await app.firstWindow());
  return {
    page,
    async openWindow() {
      const opened = app.waitForEvent('window');
      await page.keyboard.press('Control+Shift+N');
      return watch(await opened);
    },
    pid: app.process().pid!,
    close: () => app.close(),
    async kill() {
      const ended = new Promise((resolve) => app.process().once('exit', resolve));
      app.process().kill('SIGKILL');
      await ended;
    },
  };
}

async function readUrl(host: ChildProcess): Promise<string> {
  let text = '';
  for await (const chunk of host.stdout!) {
    text += String(chunk);
    const url = /http:\/\/\S+/.exec(text);
    if (url) return (host.stdout!.resume(), url[0]);
  }
  throw new Error(`the host ended without its address: ${text}`);
}

/** A Chromium or Chrome of this machine: CHROME_PATH, else one on the PATH. */
export function findChromium(): string | null {
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'];
  const places = (process.env.PATH ?? '').split(delimiter).flatMap((folder) => names.map((name) => join(folder, name)));
  const usual = ['/Applications/Google Chrome.app/Contents/MacOS/Google Chrome', 'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe'];
  return [process.env.CHROME_PATH ?? '', ...places, ...usual].find((path) => path !== '' && existsSync(path)) ?? null;
}

function missingBrowser(): string | null {
  return findChromium() ? null : 'no Chromium or Chrome on this machine (install one, or name it in CHROME_PATH)';
}

function missingElectron(): string | null {
  const folder = join(ROOT, 'node_modules', 'electron');
  const named = existsSync(join(folder, 'path.txt')) ? join(folder, 'dist', readFileSync(join(folder, 'path.txt'), 'utf8')) : null;
  if (!named || !existsSync(named)) return "Electron's binary is not installed (npm start downloads it where it can)";
  return process.platform === 'linux' && !process.env.DISPLAY && !process.env.WAYLAND_DISPLAY ? 'no display for Electron' : null;
}

/** Engine processes of the workbench that is `pid`, in one look: what writes may be done in a second. */
function enginesOf(pid: number): number[] {
  const lines = execFileSync('ps', ['-A', '-ww', '-o', 'pid=,ppid=,args='], { encoding: 'utf8' }).trim().split('\n');
  return lines.map((line) => line.trim().split(/\s+/)).flatMap(([child, parent, ...args]) => (Number(parent) === pid && args.join(' ').includes('engine') ? [Number(child)] : []));
}
