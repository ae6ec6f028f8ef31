/** A page of ours as PDF: laid out in a window nobody sees, which may run no script and fetch nothing. */
import { BrowserWindow } from 'electron';

/** `html` needs nothing else. A4, landscape. */
export async function printPdf(html: string): Promise<Uint8Array> {
  const window = new BrowserWindow({ show: false, webPreferences: { sandbox: true, contextIsolation: true, nodeIntegration: false, javascript: false } });
  try {
    await window.loadURL(`data:text/html;charset=utf-8;base64,${Buffer.from(html).toString('base64')}`); // files may not be loaded (page.ts)
    return await window.webContents.printToPDF({ pageSize: 'A4', landscape: true, printBackground: true });
  } finally {
    window.destroy();
  }
}
