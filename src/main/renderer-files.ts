/**
 * The built window's files by the path of a URL, for both shells. Only what lies in the renderer's folder can be named; there is no listing.
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

export type RendererFile = { content: Buffer<ArrayBuffer>; headers: Record<string, string> };

/** null: there is no such file. `pathname` as in a URL, still encoded. */
export async function readRendererFile(folder: string, pathname: string): Promise<RendererFile | null> {
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
