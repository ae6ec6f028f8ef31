/** What only the desktop can do for main: the system's file dialogs, and showing a file where it lies. */
import { BrowserWindow, dialog, shell as system } from 'electron';
import type { Shell } from '../workbench.ts';
import { printPdf } from './print-pdf.ts';

export const desktopShell: Shell = {
  kind: 'electron',
  async choose({ kind, title, defaultName, extensions }) {
    const filters = extensions ? [{ name: extensions.map((extension) => `.${extension}`).join(', '), extensions }] : [];
    const window = BrowserWindow.getFocusedWindow() ?? BrowserWindow.getAllWindows()[0];
    if (kind === 'save') {
      const { filePath } = await dialog.showSaveDialog(window, { title, defaultPath: defaultName, filters });
      return filePath || null;
    }
    const { filePaths } = await dialog.showOpenDialog(window, { title, filters, properties: [kind === 'folder' ? 'openDirectory' : 'openFile'] });
    return filePaths[0] ?? null;
  },
  reveal: (path) => system.showItemInFolder(path),
  printPdf,
};
