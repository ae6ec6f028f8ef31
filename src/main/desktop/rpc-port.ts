/**
 * The router over message ports: a window that asks gets one end of a new channel, main keeps the other. The end of a window closes its port,
 * and with it what it was watching.
 */
import { RPCHandler } from '@orpc/server/message-port';
import { ipcMain, MessageChannelMain } from 'electron';
import { router } from '../router.ts';
import type { Workbench } from '../workbench.ts';
import { isPage } from './page.ts';

export function serveRpc(workbench: Workbench): void {
  const handler = new RPCHandler(router);
  ipcMain.on('attune:connect', ({ senderFrame }) => {
    if (!senderFrame || senderFrame.parent !== null || !isPage(senderFrame.url)) return;
    const { port1, port2 } = new MessageChannelMain();
    handler.upgrade(port2, { context: workbench });
    port2.start();
    senderFrame.postMessage('attune:port', null, [port1]);
  });
}
