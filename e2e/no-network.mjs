/**
 * Preloaded (NODE_OPTIONS=--import) into every process of a command by the offline test: any way out of the machine throws and is written
 * to the file NETWORK_LOG. What is on the machine (pipes, the IPC channel, loopback) passes.
 */
import { appendFileSync } from 'node:fs';
import dgram from 'node:dgram';
import dns from 'node:dns';
import net from 'node:net';
import { syncBuiltinESMExports } from 'node:module';

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|::1|\[::1\])$/;
appendFileSync(process.env.NETWORK_LOG, `start ${process.argv[1] ?? ''}\n`);

function refuse(what) {
  appendFileSync(process.env.NETWORK_LOG, `attempt ${what}\n`);
  throw new Error(`no-network: ${what}`);
}

const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...args) {
  const first = Array.isArray(args[0]) ? args[0][0] : args[0]; // net.connect hands its arguments over normalised, in an array
  const options = typeof first === 'object' && first !== null ? first : { port: first, host: args[1] };
  const host = options.host ?? 'localhost';
  if (options.port != null && options.path == null && !LOOPBACK.test(String(host))) refuse(`connect ${host}:${options.port}`);
  return connect.apply(this, args);
};
for (const target of [dns, dns.promises]) {
  for (const name of Object.keys(target)) {
    if (!/^(lookup|resolve|reverse)/.test(name)) continue;
    const original = target[name];
    target[name] = (host, ...rest) => (LOOPBACK.test(String(host)) ? original.call(target, host, ...rest) : refuse(`dns ${name} ${host}`));
  }
}
dgram.Socket.prototype.send = (...args) => refuse(`udp ${args.length}`);
globalThis.fetch = (url) => refuse(`fetch ${url}`);
globalThis.WebSocket = function WebSocket(url) {
  refuse(`websocket ${url}`);
};
syncBuiltinESMExports();
