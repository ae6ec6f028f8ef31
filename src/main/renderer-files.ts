/**
 * The window's files by the path of a URL, for both shells: from the folder it was built into, of which nothing outside can be named and
 * nothing is listed, or, while developing, from the dev server on this machine.
 */
import { readFile } from 'node:fs/promises';
import { extname, join, sep } from 'node:path';

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.map': 'application/json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.wasm': 'application/wasm',
};

export type RendererFile = { content: Uint8Array<ArrayBuffer>; headers: Record<string, string> };

/** `renderer`: a folder, or a dev server's URL. `target`: path and query as in a URL, still encoded. null: there is no such file. */
export function readRendererFile(renderer: string, target: string): Promise<RendererFile | null> {
  return isDevServer(renderer) ? fetchFile(new URL(target, renderer)) : readBuilt(renderer, target.split('?')[0]);
}

/** Where the page may connect to beyond its own origin: the dev server tells of changes over a WebSocket. */
export function rendererSources(renderer: string): string[] {
  return isDevServer(renderer) ? [`ws://${new URL(renderer).host}`] : [];
}

function isDevServer(renderer: string): boolean {
  return renderer.startsWith('http://127.0.0.1:') || renderer.startsWith('http://localhost:');
}

async function readBuilt(folder: string, pathname: string): Promise<RendererFile | null> {
  let path: string;
  try {
    path = decodeURIComponent(pathname);
  } catch {
    return null;
  }
  if (path === '/') path = '/index.html';
  const type = TYPES[extname(path)];
  const file = join(folder, path);
  if (!type || /[\0\\]/.test(path) || !file.startsWith(join(folder, sep))) return null;
  try {
    // names under assets/ carry a hash of the content
    const cache = path.startsWith('/assets/') ? 'private, max-age=31536000, immutable' : 'no-cache';
    return { content: await readFile(file), headers: { 'Content-Type': type, 'Cache-Control': cache } };
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EISDIR', 'ENAMETOOLONG'].includes((error as NodeJS.ErrnoException).code ?? '')) return null;
    throw error;
  }
}

async function fetchFile(url: URL): Promise<RendererFile | null> {
  const response = await fetch(url, { headers: { Accept: '*/*' } });
  if (!response.ok) return null;
  const headers = { 'Content-Type': response.headers.get('Content-Type') ?? 'text/plain', 'Cache-Control': 'no-store' };
  return { content: new Uint8Array(await response.arrayBuffer()), headers };
}
