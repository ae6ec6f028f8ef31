/**
 * The bridge into the sandboxed window: it asks main for a line and hands the page its message port, and says where a dropped file lies.
 * Nothing else crosses: every procedure goes through the port, where main's router validates it.
 */
import { contextBridge, ipcRenderer, webUtils } from 'electron';

ipcRenderer.on('attune:port', ({ ports }) => window.postMessage('attune:port', window.location.origin, ports));

contextBridge.exposeInMainWorld('attune', {
  connect: (): void => ipcRenderer.send('attune:connect'),
  pathForFile: (file: File): string => webUtils.getPathForFile(file),
});
