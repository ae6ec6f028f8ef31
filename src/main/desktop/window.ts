/** One window: its options, its place on the screen, and what happens when its page dies. What it shows is the renderer's. */
import { BrowserWindow, dialog, nativeTheme } from 'electron';
import { PRELOAD } from '../paths.ts';
import type { Labels } from './labels.ts';
import { PAGE } from './page.ts';
import { keepWindowState, readWindowState } from './window-state.ts';

/** `devTools`: only when not packaged. */
export function openWindow({ stateFile, labels, devTools }: { stateFile: string; labels: () => Labels; devTools: boolean }): BrowserWindow {
  const { maximized, ...bounds } = readWindowState(stateFile);
  const window = new BrowserWindow({
    ...bounds,
    minWidth: 720,
    minHeight: 480,
    show: false,
    title: 'Attune',
    backgroundColor: nativeTheme.shouldUseDarkColors ? '#14171a' : '#ffffff', // until the page has painted
    webPreferences: {
      preload: PRELOAD,
      contextIsolation: true,
      sandbox: true,
      nodeIntegration: false,
      nodeIntegrationInWorker: false,
      nodeIntegrationInSubFrames: false,
      webSecurity: true,
      webviewTag: false,
      navigateOnDragDrop: false,
      spellcheck: false,
      devTools,
    },
  });
  window.once('ready-to-show', () => {
    if (maximized) window.maximize();
    window.show();
  });
  keepWindowState(window, stateFile);
  window.webContents.on('render-process-gone', (_event, { reason }) => {
    if (reason !== 'clean-exit') void offerReload(window, labels(), reason);
  });
  void window.loadURL(PAGE);
  return window;
}

/** Nothing is lost: the page holds no truth, and what trains is another process. */
async function offerReload(window: BrowserWindow, labels: Labels, reason: string): Promise<void> {
  const { response } = await dialog.showMessageBox(window, {
    type: 'warning',
    message: labels.pageGone,
    detail: `${labels.pageGoneDetail} (${reason})`,
    buttons: [labels.reload, labels.closeWindow],
    defaultId: 0,
    cancelId: 1,
  });
  if (window.isDestroyed()) return;
  if (response === 0) window.webContents.reload();
  else window.close();
}
