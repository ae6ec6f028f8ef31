/**
 * Leaving: asks when something trains, then closes the workbench in order (the step under way ends, a checkpoint is written) before the
 * process goes. A signal from the terminal does not ask; a second one goes at once.
 */
import { app, BrowserWindow, dialog } from 'electron';
import { trainsHere } from '../trains-here.ts';
import type { Workbench } from '../workbench.ts';
import type { Labels } from './labels.ts';

export function leaveInOrder(workbench: Workbench, labels: () => Labels): void {
  let state: 'open' | 'asking' | 'closing' = 'open';

  const close = async (): Promise<void> => {
    state = 'closing';
    for (const window of BrowserWindow.getAllWindows()) window.close(); // and each keeps its place
    try {
      await workbench.close();
      app.exit(0);
    } catch (error) {
      console.error((error as Error).stack);
      app.exit(1);
    }
  };
  const ask = async (): Promise<void> => {
    state = 'asking';
    if (trainsHere(workbench.library) && !(await agreesToStop(labels()))) state = 'open';
    else await close();
  };

  app.on('before-quit', (event) => {
    event.preventDefault(); // app.exit ends it, when everything is closed
    if (state === 'open') void ask();
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => (state === 'closing' ? app.exit(signal === 'SIGINT' ? 130 : 143) : void close()));
  }
  if (process.platform === 'darwin') return; // there an app outlives its windows
  app.on('browser-window-created', (_event, window) => {
    window.on('close', (event) => {
      const last = BrowserWindow.getAllWindows().length === 1;
      if (state === 'closing' || !last) return;
      event.preventDefault();
      app.quit();
    });
  });
}

async function agreesToStop(labels: Labels): Promise<boolean> {
  const { response } = await dialog.showMessageBox({
    type: 'question', message: labels.training, detail: labels.trainingDetail, buttons: [labels.stopAndQuit, labels.cancel], defaultId: 1, cancelId: 1,
  });
  return response === 0;
}
