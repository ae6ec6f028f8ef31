/**
 * The one line to main: a WebSocket in the browser, a message port in Electron, behind the same typed client. It connects again by itself when
 * main was away; calls made meanwhile wait. Only files of state/ import this.
 */
import { createORPCClient } from '@orpc/client';
import { RPCLink as PortLink } from '@orpc/client/message-port';
import { RPCLink as SocketLink } from '@orpc/client/websocket';
import type { ContractRouterClient } from '@orpc/contract';
import type { Contract } from '../../shared/api.ts';

export type Client = ContractRouterClient<Contract>;

/** What preload puts on the window; absent in a browser. */
type Bridge = { connect(): void; pathForFile(file: File): string };
export const bridge = (globalThis as { attune?: Bridge }).attune ?? null;

export type Connection = { client: Client; /** resolves when the line is gone */ closed: Promise<void> };

/** Resolves when the line is up. */
export async function connect(): Promise<Connection> {
  return bridge ? connectPort(bridge) : connectSocket();
}

async function connectPort(bridge: Bridge): Promise<Connection> {
  const port = await new Promise<MessagePort>((resolve) => {
    window.addEventListener('message', function receive(event) {
      if (event.source !== window || event.data !== 'attune:port') return;
      window.removeEventListener('message', receive);
      resolve(event.ports[0]);
    });
    bridge.connect();
  });
  const link = new PortLink({ port });
  port.start();
  return { client: createORPCClient(link), closed: new Promise((resolve) => port.addEventListener('close', () => resolve())) };
}

async function connectSocket(): Promise<Connection> {
  const socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/rpc`);
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => resolve());
    socket.addEventListener('close', () => reject(new Error('the workbench does not answer')));
  });
  const closed = new Promise<void>((resolve) => socket.addEventListener('close', () => resolve()));
  return { client: createORPCClient(new SocketLink({ websocket: socket })), closed };
}
