/**
 * The router over WebSocket, for windows in a browser. Who may connect is settled before (server.ts); a connection that does not answer,
 * or that cannot keep up with what it watches, is ended: the window comes back by itself and gets a snapshot.
 */
import { RPCHandler } from '@orpc/server/ws';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import { router } from '../router.ts';
import type { Workbench } from '../workbench.ts';

/** Between two pings, ms: one that was not answered by the next ends the connection. */
const HEARTBEAT = 15_000;
/** Bytes a window may be behind. */
const MAX_BEHIND = 64 * 2 ** 20;
/** Bytes of one message from a window: an edited row, a recipe. */
const MAX_MESSAGE = 32 * 2 ** 20;
const GOING_AWAY = 1001;

export type RpcSockets = {
  accept(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  close(): void;
};

export function createRpcSockets(workbench: Workbench): RpcSockets {
  const server = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE });
  const handler = new RPCHandler(router);
  const answered = new WeakSet<WebSocket>();
  const heartbeat = setInterval(() => {
    for (const socket of server.clients) {
      if (!answered.delete(socket) || socket.bufferedAmount > MAX_BEHIND) socket.terminate();
      else socket.ping();
    }
  }, HEARTBEAT);
  return {
    accept(request, socket, head) {
      server.handleUpgrade(request, socket, head, (client) => {
        answered.add(client);
        client.on('pong', () => answered.add(client));
        client.on('error', () => client.terminate()); // a message that is none, or too long
        void handler.upgrade(client, { context: workbench });
      });
    },
    close() {
      clearInterval(heartbeat);
      for (const socket of server.clients) socket.close(GOING_AWAY, 'the workbench was closed');
      server.close();
    },
  };
}
