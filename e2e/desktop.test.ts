/**
 * The desktop shell as it is built, under plain Node with a stand-in for Electron: what windows may do, where they may go, the line to the
 * router, menus, leaving. What Electron itself makes of it is for the user stories, which run in Electron where its binary is installed.
 */
import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { MenuItemConstructorOptions as Item } from 'electron';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { listCheckpoints } from '../src/main/db/checkpoints.ts';
import { listRuns } from '../src/main/db/runs.ts';
import { openLibrary } from '../src/main/library.ts';
import { Recipe } from '../src/shared/recipe.ts';
import { alpacaRows, ROOT } from './attune.ts';

const APP = join(ROOT, 'build', 'app');
const PAGE = 'app://workbench/';
const folder = mkdtempSync(join(tmpdir(), 'attune-desktop-'));
const running: ChildProcess[] = [];

/** What the stand-in lets a test hold (stand-in-electron.mjs, `hands`). */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- it stands in for the whole of Electron's typings
type Hands = any;
type Desktop = {
  library: string;
  child: ChildProcess;
  output: { stdout: string; stderr: string };
  /** Calls the function inside, which sees nothing of this file. */
  inside<T, A = undefined>(code: (hands: Hands, argument: A) => T | Promise<T>, argument?: A): Promise<T>;
  exited: Promise<number>;
};

beforeAll(() => {
  execFileSync(process.execPath, [join(ROOT, 'scripts', 'build.mjs')], { stdio: 'inherit' }); // nothing to do when it is fresh
});
afterEach(() => {
  for (const child of running.splice(0)) child.kill('SIGKILL');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a window', () => {
  it('is isolated, sandboxed and without node, with the preload and the page of the program', async () => {
    const desktop = await open();
    const [{ options, url }, sandbox] = await desktop.inside(({ windows: [{ options, url }], asked }) => [{ options, url }, asked.sandbox]);
    expect(options.webPreferences).toEqual({
      preload: join(APP, 'preload', 'index.cjs'),
      contextIsolation: true,
      sandbox: true,
      nodeIntegration: false,
      nodeIntegrationInWorker: false,
      nodeIntegrationInSubFrames: false,
      webSecurity: true,
      webviewTag: false,
      navigateOnDragDrop: false,
      spellcheck: false,
      devTools: true,
    });
    expect(existsSync(options.webPreferences.preload)).toBe(true);
    expect([url, sandbox, options.show]).toEqual([PAGE, true, false]);
  });

  it('gets its page by a protocol of its own, under the same policy as in the browser', async () => {
    const desktop = await open();
    const replies = await desktop.inside(
      ({ schemes }, urls) =>
        Promise.all(
          urls.map(async (url) => {
            const response: Response = await schemes.app(new Request(url));
            return { status: response.status, policy: response.headers.get('content-security-policy'), text: await response.text() };
          }),
        ),
      [PAGE, `${PAGE}..%2f..%2f..%2fpackage.json`, 'app://elsewhere/index.html'],
    );
    expect(replies.map(({ status }) => status)).toEqual([200, 404, 404]);
    expect(replies[0].text).toContain('<div id="app">');
    for (const { policy } of replies) {
      expect(policy).toContain("default-src 'none'; script-src 'self';");
      expect(policy).toContain("connect-src 'self';");
      expect(policy).not.toContain('unsafe-eval');
    }
    const [scheme] = await desktop.inside(({ asked }) => asked.schemes);
    expect(scheme).toMatchObject({ scheme: 'app', privileges: { standard: true, secure: true } });
    expect(scheme.privileges).not.toHaveProperty('bypassCSP');
  });

  it('loads nothing from anywhere else and opens, navigates to and embeds nothing', async () => {
    const desktop = await open();
    const cancelled = await desktop.inside(
      ({ handlers }, urls) => {
        const isCancelled = (url: string): Promise<boolean> =>
          new Promise((resolve) => handlers.request({ url }, ({ cancel }: { cancel: boolean }) => resolve(cancel)));
        return Promise.all(urls.map(isCancelled));
      },
      [`${PAGE}assets/x.js`, 'https://example.com/', 'http://127.0.0.1:7341/', 'file:///etc/passwd', 'ws://127.0.0.1:1/'],
    );
    expect(cancelled).toEqual([false, true, true, true, true]);

    const prevented = await desktop.inside(({ windows, cancelable }, page) => {
      const { webContents } = windows[0];
      const emit = (name: string, details: object): boolean => {
        const event = cancelable(details);
        webContents.emit(name, event);
        return event.defaultPrevented;
      };
      return {
        away: emit('will-navigate', { url: 'https://example.com/' }),
        file: emit('will-navigate', { url: 'file:///etc/passwd' }),
        reload: emit('will-navigate', { url: `${page}#/runs` }),
        frame: emit('will-frame-navigate', { url: page, isMainFrame: false }),
        redirect: emit('will-redirect', { url: page }),
        webview: emit('will-attach-webview', {}),
        opened: webContents.openHandler({ url: page }).action,
      };
    }, PAGE);
    expect(prevented).toEqual({ away: true, file: true, reload: false, frame: true, redirect: true, webview: true, opened: 'deny' });
  });

  it('is given no permission but to copy text', async () => {
    const desktop = await open();
    const granted = await desktop.inside(
      ({ handlers }, origin) => {
        const permissions = ['media', 'geolocation', 'notifications', 'clipboard-read', 'openExternal', 'clipboard-sanitized-write'];
        const request = (permission: string, requestingUrl: string): boolean => {
          let answer = false;
          handlers.permissionRequest(null, permission, (given: boolean) => (answer = given), { requestingUrl });
          return answer;
        };
        return {
          requested: permissions.filter((permission) => request(permission, origin)),
          checked: permissions.filter((permission) => handlers.permissionCheck(null, permission, origin)),
          foreign: permissions.filter((permission) => request(permission, 'https://example.com/')),
          devices: handlers.device({}),
        };
      },
      PAGE,
    );
    const copying = ['clipboard-sanitized-write'];
    expect(granted).toEqual({ requested: copying, checked: copying, foreign: [], devices: false });
    const { switches, spellChecker } = await desktop.inside(({ asked }) => asked);
    expect(spellChecker).toBe(false);
    expect(switches.map(([name]: string[]) => name)).toContain('disable-background-networking');
  });

  it('that dies can be loaded again', async () => {
    const desktop = await open();
    const { boxes, reloads } = await desktop.inside(async ({ windows, asked }) => {
      windows[0].webContents.emit('render-process-gone', {}, { reason: 'crashed' });
      await new Promise((resolve) => setTimeout(resolve, 50));
      return { boxes: asked.boxes, reloads: windows[0].webContents.reloads };
    });
    expect(boxes[0].detail).toContain('crashed');
    expect(reloads).toBe(1);
  });

  it('opens where it was, unless no display shows that place', async () => {
    const first = await open();
    await first.inside(({ windows }) => {
      windows[0].bounds = { x: 300, y: 200, width: 1000, height: 700 };
      windows[0].close();
    });
    expect(await first.exited).toBe(0);
    const again = await open({ library: first.library });
    expect(await again.inside(({ windows }) => windows[0].options)).toMatchObject({ x: 300, y: 200, width: 1000, height: 700 });
    await again.inside(({ app, windows }) => {
      windows[0].bounds = { x: 40, y: 50, width: 900, height: 600 };
      setTimeout(() => app.quit(), 10);
    });
    expect(await again.exited).toBe(0);
    const third = await open({ library: first.library });
    expect(await third.inside(({ windows }) => windows[0].options)).toMatchObject({ x: 40, y: 50, width: 900, height: 600 });
    third.child.kill('SIGKILL');
    await third.exited;
    const elsewhere = await open({ library: first.library, displays: [{ x: 5000, y: 0, width: 800, height: 600 }] });
    const options = await elsewhere.inside(({ windows }) => windows[0].options);
    expect([options.x, options.width]).toEqual([undefined, 1280]);
  });
});

describe('the line to the router', () => {
  it('carries calls and streams, and is handed to the page alone', async () => {
    const desktop = await open();
    const answer = await desktop.inside(async ({ connect }, page) => {
      const client = await connect(`${page}#/runs`);
      for await (const { topics } of await client.workbench.changes()) {
        return { topics, foreign: [await connect('https://example.com/'), await connect(page, {})] };
      }
      return null;
    }, PAGE);
    expect(answer!.topics).toContain('models');
    expect(answer!.foreign).toEqual([null, null]);
  });

  it('starts at the preload, which shows the page two functions and nothing else', () => {
    const exposed: Record<string, Record<string, (...args: unknown[]) => unknown>> = {};
    const sent: unknown[] = [];
    const posted: unknown[][] = [];
    let onPort: (event: object) => void = () => {};
    const electron = {
      contextBridge: { exposeInMainWorld: (name: string, api: (typeof exposed)[string]) => (exposed[name] = api) },
      ipcRenderer: {
        send: (...args: unknown[]) => sent.push(args),
        on: (_channel: string, listener: typeof onPort) => (onPort = listener),
      },
      webUtils: { getPathForFile: () => '/dropped' },
    };
    const window = { location: { origin: 'app://workbench' }, postMessage: (...args: unknown[]) => posted.push(args) };
    const code = readFileSync(join(APP, 'preload', 'index.cjs'), 'utf8');
    const require = (name: string) => (name === 'electron' ? electron : expect.fail(`preload asks for ${name}`));
    new Function('require', 'window', code)(require, window);
    expect(Object.keys(exposed)).toEqual(['attune']);
    expect(Object.keys(exposed.attune).sort()).toEqual(['connect', 'pathForFile']);
    exposed.attune.connect();
    expect(sent).toEqual([['attune:connect']]);
    onPort({ ports: ['port'] });
    expect(posted).toEqual([['attune:port', 'app://workbench', ['port']]]);
    expect(exposed.attune.pathForFile({})).toBe('/dropped');
  });
});

describe('the shell', () => {
  it('opens the system’s file dialogs for main', async () => {
    const desktop = await open();
    const [about, picked, files] = await desktop.inside(async ({ asked, connect }, page) => {
      const client = await connect(page);
      const { shell } = await client.workbench.about();
      const folder = await client.files.choose({ kind: 'folder', title: 'A model' });
      const file = await client.files.choose({ kind: 'save', title: 'Rows', defaultName: 'a.jsonl' });
      return [shell, [folder, file], asked.files];
    }, PAGE);
    expect(about).toEqual({ kind: 'electron', fileDialogs: true, pdf: true });
    expect(picked).toEqual(['/picked', '/picked']);
    expect(files[0]).toMatchObject({ title: 'A model', properties: ['openDirectory'] });
    expect(files[1]).toMatchObject({ title: 'Rows', defaultPath: 'a.jsonl' });
  });
});

describe('the app', () => {
  it('has menus in the language of the system, and the way to every screen', async () => {
    const english = await open();
    const korean = await open({ locale: 'ko-KR' });
    const labels = (desktop: Desktop) => desktop.inside(({ asked }) => asked.menu.map(({ label }: Item) => label));
    expect(await labels(english)).toEqual(expect.arrayContaining(['File', 'Edit', 'Go', 'View', 'Window']));
    expect(await labels(korean)).toEqual(expect.arrayContaining(['파일', '편집', '이동', '보기', '창']));
    const url = await english.inside(({ asked, windows }) => {
      const go = asked.menu.find(({ label }: Item) => label === 'Go');
      go.submenu[3].click();
      return windows[0].url;
    });
    expect(url).toBe(`${PAGE}#/runs`);
  });

  it('follows the settings of language and theme', async () => {
    const desktop = await open();
    const shown = await desktop.inside(async ({ asked, connect, nativeTheme }, page) => {
      const client = await connect(page);
      await client.workbench.saveSettings({ language: 'ko', theme: 'dark' });
      for (let waited = 0; waited < 1000 && nativeTheme.themeSource === 'system'; waited++) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return [asked.menu[0].label, nativeTheme.themeSource];
    }, PAGE);
    expect(shown).toEqual(['파일', 'dark']);
  });

  it('is one per library: a second start ends and the first shows its window', async () => {
    const second = await start({ lock: false });
    expect(await second.exited).toBe(0);
    const first = await open();
    const shown = await first.inside(({ app, windows }) => {
      app.emit('second-instance');
      return windows.map(({ shown }: { shown: boolean }) => shown);
    });
    expect(shown).toEqual([true]);
  });

  it('leads to the browser where the library is open there', async () => {
    const library = mkdtempSync(join(folder, 'library-'));
    const url = 'http://127.0.0.1:7341/?token=abc';
    writeFileSync(join(library, 'workbench.json'), JSON.stringify({ owner: ownerOf(process.pid), shell: 'browser', url }));
    const desktop = await start({ library });
    expect(await desktop.exited).toBe(0);
    expect(desktop.output.stdout.trim()).toBe(url);
    expect(JSON.parse(readFileSync(join(library, 'workbench.json'), 'utf8')).url).toBe(url);
  });

  it('keeps Chromium’s own files in the library, and lets the library go when it ends', async () => {
    const desktop = await open();
    expect(await desktop.inside(({ asked }) => asked.paths.userData)).toBe(join(desktop.library, 'desktop'));
    expect(existsSync(join(desktop.library, 'workbench.json'))).toBe(true);
    desktop.child.kill('SIGTERM');
    expect(await desktop.exited).toBe(0);
    expect(existsSync(join(desktop.library, 'workbench.json'))).toBe(false);
  });

  it('asks before it stops a training; what was learned is kept', async () => {
    const desktop = await open();
    const recipe = Recipe.parse({
      method: 'sft',
      model: join(ROOT, 'fixtures', 'models', 'llama'),
      dataset: join(folder, 'rows.jsonl'),
      template: 'chat',
      maxLength: 64,
      numTrainEpochs: 10_000,
    });
    writeFileSync(recipe.dataset, alpacaRows(32));
    const boxes = await desktop.inside(
      async ({ app, asked, answers, connect }, { page, recipe }) => {
        const client = await connect(page);
        const { id } = await client.training.start({ recipe });
        for await (const event of await client.runs.watch({ id })) {
          if (event.type === 'progress' && event.progress.step > 2) break;
          if (event.type === 'run' && event.run.error) throw new Error(event.run.error);
        }
        answers.push(1, 0);
        app.quit();
        while (asked.boxes.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
        const { length } = asked.boxes;
        setTimeout(() => app.quit(), 100);
        return length;
      },
      { page: PAGE, recipe },
    );
    expect(boxes).toBe(1); // and it is still there to say so
    expect(await desktop.exited).toBe(0);
    const { db } = openLibrary(desktop.library);
    const [run] = listRuns(db);
    expect(run.status).toBe('stopped');
    expect(listCheckpoints(db, run.id).at(-1)!.step).toBe(run.step);
    db.close();
  });

  it('closes with its last window', async () => {
    const desktop = await open();
    await desktop.inside(({ asked }) => asked.menu.find(({ label }: Item) => label === 'File').submenu[0].click());
    const left = await desktop.inside(({ windows }) => {
      windows[1].close();
      return windows.length;
    });
    expect(left).toBe(1);
    await desktop.inside(({ windows }) => windows[0].close());
    expect(await desktop.exited).toBe(0);
  });
});

async function open(options: StandIn = {}): Promise<Desktop> {
  const desktop = await start(options);
  for (let waited = 0; waited < 1200; waited++) {
    if (desktop.child.exitCode !== null) throw new Error(`the desktop ended with ${desktop.child.exitCode}: ${desktop.output.stderr}`);
    if ((await desktop.inside(({ windows }) => windows.length)) > 0) return desktop;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`no window opened: ${desktop.output.stderr}`);
}

type StandIn = { library?: string; locale?: string; lock?: boolean; displays?: object[] };

async function start({ library = mkdtempSync(join(folder, 'library-')), ...standIn }: StandIn = {}): Promise<Desktop> {
  mkdirSync(library, { recursive: true });
  const child = fork(join(APP, 'main', 'desktop.js'), [], {
    execArgv: ['--import', pathToFileURL(join(ROOT, 'e2e', 'stand-in-electron.mjs')).href],
    env: { ...process.env, ATTUNE_HOME: library, STAND_IN: JSON.stringify(standIn) },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  running.push(child);
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) child[name]!.on('data', (chunk: Buffer) => (output[name] += String(chunk)));
  const waiting = new Map<number, (reply: { value?: unknown; error?: string }) => void>();
  child.on('message', (reply: { id: number; value?: unknown; error?: string }) => waiting.get(reply.id)?.(reply));
  let lastId = 0;
  return {
    library,
    child,
    output,
    inside: (code, argument) =>
      new Promise((resolve, reject) => {
        const id = ++lastId;
        waiting.set(id, ({ value, error }) => (error ? reject(new Error(error)) : resolve(value as never)));
        child.send({ id, code: code.toString(), argument }, (error) => error && reject(error));
      }),
    exited: once(child, 'exit').then(([code]) => code as number),
  };
}

/** As process-identity.ts names a process. */
function ownerOf(pid: number): string {
  if (process.platform !== 'linux') return String(pid);
  return `${pid}:${readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)!.split(' ')[19]}`;
}
