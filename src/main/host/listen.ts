/**
 * Where the host listens, and what it is called there: the names its Host header may have, the URL to open, and the way to it over SSH.
 */
import { once } from 'node:events';
import type { Server } from 'node:http';
import { type AddressInfo, isIPv6 } from 'node:net';
import { hostname, networkInterfaces, userInfo } from 'node:os';
import { UserError } from '../user-error.ts';
import { DEFAULT_PORT } from './options.ts';

/** Ports tried after the default one. */
const TRIED = 20;
const LOOPBACK = ['127.0.0.1', 'localhost', '[::1]'];
const EVERY_ADDRESS = ['0.0.0.0', '::'];

/** `port` null: the default one or the next that is free. The port it got. */
export async function listen(server: Server, host: string, port: number | null): Promise<number> {
  const last = port ?? DEFAULT_PORT + TRIED;
  for (let next = port ?? DEFAULT_PORT; ; next++) {
    try {
      server.listen(next, host);
      await once(server, 'listening');
      return (server.address() as AddressInfo).port;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EADDRINUSE' && next < last) continue;
      if (code === 'EADDRINUSE') throw new UserError(`port ${next} is taken: choose another with --port (0: any free one)`);
      if (code === 'EACCES') throw new UserError(`port ${next} may not be used by you: choose one above 1023 with --port`);
      if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') throw new UserError(`--host ${host}: not an address of this machine`);
      throw error;
    }
  }
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d+){3}$/.test(host);
}

export function hostNames(host: string): string[] {
  if (!EVERY_ADDRESS.includes(host)) return [...LOOPBACK, bracketed(host)];
  const addresses = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
  return [...LOOPBACK, hostname(), ...addresses.map(({ address }) => bracketed(address))];
}

export function serverUrl(host: string, port: number): string {
  const name = isLoopback(host) && host !== '::1' ? '127.0.0.1' : EVERY_ADDRESS.includes(host) ? hostname() : bracketed(host);
  return `http://${name}:${port}`;
}

export function workbenchUrl(host: string, port: number, token: string): string {
  return `${serverUrl(host, port)}/?token=${token}`;
}

/** What to type on the machine one came from; null when not over SSH. */
export function tunnelCommand(port: number, env: NodeJS.ProcessEnv = process.env): string | null {
  const server = env.SSH_CONNECTION?.split(' ')[2]; // client address, client port, server address, server port
  if (!server) return null;
  const [, , , sshPort] = env.SSH_CONNECTION!.split(' ');
  const way = sshPort && sshPort !== '22' ? `-p ${sshPort} ` : '';
  return `ssh -N ${way}-L ${port}:127.0.0.1:${port} ${userInfo().username}@${isLoopback(server) ? hostname() : server}`;
}

function bracketed(host: string): string {
  return isIPv6(host) ? `[${host}]` : host;
}
