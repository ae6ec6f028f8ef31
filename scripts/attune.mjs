#!/usr/bin/env node
/**
 * The `attune` command: starts src/main/cli.ts on the pinned Node 24, setting the clone up first where that was not done.
 * Same arguments, same standard streams, same exit code; signals are passed on. No command lives here.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { node24, setup } from './setup.mjs';

await setup({ quiet: true });

const cli = fileURLToPath(new URL('../src/main/cli.ts', import.meta.url));
const child = spawn(node24, ['--disable-warning=ExperimentalWarning', cli, ...process.argv.slice(2)], { stdio: 'inherit' });
// Ctrl-C in a terminal reaches the child by itself (it is in our process group): the parent only has to outlive it
process.on('SIGINT', () => {
  if (!process.stdin.isTTY) child.kill('SIGINT');
});
process.on('SIGTERM', () => child.kill('SIGTERM'));
process.on('SIGHUP', () => child.kill('SIGHUP'));
child.on('error', (error) => {
  console.error(`attune: ${error.message}`);
  process.exit(1);
});
child.on('exit', (code, signal) => process.exit(signal ? 128 + constants.signals[signal] : code));
