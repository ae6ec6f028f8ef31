/** Opens a URL in the person's browser, where there is one to see. Other users of the machine can read the command line for a moment: give it a ticket (guard.ts). */
import { spawn } from 'node:child_process';

export function hasDisplay(env: NodeJS.ProcessEnv = process.env): boolean {
  if (env.SSH_CONNECTION || env.CI) return false;
  return process.platform !== 'linux' || !!(env.DISPLAY || env.WAYLAND_DISPLAY);
}

export function openBrowser(url: string): void {
  const commands: Record<string, string[]> = { darwin: ['open'], win32: ['rundll32', 'url.dll,FileProtocolHandler'] };
  const [command, ...args] = commands[process.platform] ?? ['xdg-open'];
  const child = spawn(command, [...args, url], { stdio: 'ignore', detached: true });
  child.on('error', () => {}); // no such program: the URL is printed all the same
  child.unref();
}
