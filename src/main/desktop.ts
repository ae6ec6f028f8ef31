/**
 * The workbench in a window of its own (Electron): a table of contents. One process a library; everything a window asks goes through the one
 * router; what Electron alone knows is in desktop/. The engine never runs in here: src/main/engine.ts starts it on the pinned Node.
 */
import { createRouterClient } from '@orpc/server';
import { app, BrowserWindow, dialog, Menu, nativeTheme, shell } from 'electron';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Settings } from '../shared/api/workbench.ts';
import { type Labels, LABELS } from './desktop/labels.ts';
import { leaveInOrder } from './desktop/leave.ts';
import { menuTemplate } from './desktop/menu.ts';
import { PAGE, preparePage, servePage } from './desktop/page.ts';
import { serveRpc } from './desktop/rpc-port.ts';
import { desktopShell } from './desktop/shell.ts';
import { openWindow } from './desktop/window.ts';
import { libraryFolder } from './library.ts';
import { claimLibrary, type OpenWorkbench } from './open-once.ts';
import { RENDERER } from './paths.ts';
import { router } from './router.ts';
import { openWorkbench } from './workbench.ts';

const folder = libraryFolder();
const profile = join(folder, 'desktop'); // Chromium's own files, and what makes a second start find the first
mkdirSync(profile, { recursive: true });
app.setPath('userData', profile);
app.enableSandbox();
preparePage();
if (app.requestSingleInstanceLock()) void app.whenReady().then(start);
else app.quit();

async function start(): Promise<void> {
  let labels: Labels = LABELS[systemLanguage()];
  const claim = claimLibrary(folder, 'electron');
  if ('owner' in claim) return leadTo(claim, labels);
  process.on('exit', claim.release);

  const workbench = openWorkbench(desktopShell, folder, { examples: true });
  const client = createRouterClient(router, { context: workbench });
  const devTools = !app.isPackaged;
  servePage(process.env.ELECTRON_RENDERER_URL ?? RENDERER); // the dev server's, set by `npm run dev`
  serveRpc(workbench);

  const window = (): BrowserWindow => openWindow({ stateFile: join(profile, 'window.json'), labels: () => labels, devTools });
  const current = (): BrowserWindow => BrowserWindow.getFocusedWindow() ?? BrowserWindow.getAllWindows()[0] ?? window();
  const actions = { newWindow: () => void window(), go: (screen: string) => void current().loadURL(`${PAGE}#/${screen}`) };
  const show = ({ language, theme }: Pick<Settings, 'language' | 'theme'>): void => {
    labels = LABELS[language ?? systemLanguage()];
    nativeTheme.themeSource = theme ?? 'system';
    Menu.setApplicationMenu(Menu.buildFromTemplate(menuTemplate(labels, actions, { mac: process.platform === 'darwin', devTools })));
  };
  show({ language: null, theme: null });

  leaveInOrder(workbench, () => labels);
  app.on('second-instance', () => reveal(current()));
  app.on('activate', () => reveal(current()));
  window();
  for await (const { topics } of await client.workbench.changes()) {
    if (topics.includes('settings')) show(await client.workbench.settings());
  }
}

function systemLanguage(): 'en' | 'ko' {
  return app.getLocale().startsWith('ko') ? 'ko' : 'en';
}

function reveal(window: BrowserWindow): void {
  if (window.isMinimized()) window.restore();
  window.show();
  window.focus();
}

/** Another process has the library: in a browser, the way there. */
async function leadTo({ url }: OpenWorkbench, labels: Labels): Promise<void> {
  if (url) console.log(url);
  const { response } = await dialog.showMessageBox({
    message: url ? labels.openInBrowser : labels.openElsewhere, buttons: url ? [labels.openThere, labels.cancel] : [labels.cancel], cancelId: url ? 1 : 0,
  });
  if (url && response === 0) await shell.openExternal(url);
  app.exit(0);
}
