/**
 * Files dropped on a browser's window: a page knows no path, so the file itself comes, is written to the library's uploads folder as it
 * arrives, and is then imported from there like any other. One folder a drop (the batch), the dropped folders inside.
 */
import { createWriteStream } from 'node:fs';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { UserError } from '../user-error.ts';

/** Drops older than this are cleaned when the host starts, ms: what they were for has long been imported. */
const KEPT = 24 * 3600 * 1000;
const DEEPEST = 16;
const UNFINISHED = '.part';

export type Uploaded = { /** of the file */ path: string; /** of the drop */ folder: string };

/**
 * `name`: what follows /upload/ in the URL, `<batch>/<relative path>`, each part encoded. The file appears under its name only when it is
 * whole.
 */
export async function receiveUpload(uploads: string, name: string, body: Readable): Promise<Uploaded> {
  const [batch, ...parts] = readParts(name);
  const folder = join(uploads, batch);
  const path = join(folder, ...parts);
  if (await exists(path)) throw new UserError(`${parts.join('/')}: this drop has a file of that name already`);
  await mkdir(dirname(path), { recursive: true });
  const unfinished = path + UNFINISHED;
  try {
    await pipeline(body, createWriteStream(unfinished, { flags: 'wx' }));
    await rename(unfinished, path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') throw new UserError(`${parts.join('/')}: this drop has a file of that name already`);
    await rm(unfinished, { force: true });
    if (code === 'ENOSPC') throw new UserError(`${parts.join('/')}: no space left in ${uploads}`);
    throw error;
  }
  return { path, folder };
}

/** `needed`: folders somebody still uses (models that were dropped); their drops stay. */
export async function cleanUploads(uploads: string, needed: string[]): Promise<void> {
  const batches = await readdir(uploads).catch(() => []);
  for (const batch of batches) {
    const folder = join(uploads, batch);
    const used = needed.some((path) => path === folder || path.startsWith(folder + sep));
    if (!used && Date.now() - (await stat(folder)).mtimeMs > KEPT) await rm(folder, { recursive: true, force: true });
  }
}

function readParts(name: string): string[] {
  let parts: string[];
  try {
    parts = name.split('/').map(decodeURIComponent);
  } catch {
    throw new UserError(`${name}: not an upload's name (its encoding is broken)`);
  }
  const [batch, ...rest] = parts;
  if (!/^[\w-]{8,64}$/.test(batch) || rest.length === 0 || rest.length > DEEPEST) {
    throw new UserError(`${name}: an upload's name is BATCH/PATH, BATCH 8 to 64 letters and digits, PATH at most ${DEEPEST} parts`);
  }
  const wrong = rest.find((part) => !isFileName(part));
  if (wrong !== undefined) throw new UserError(`${JSON.stringify(wrong)}: not a name a dropped file or folder can have here`);
  return parts;
}

/** On every platform: what one of them would read as something else (a separator, a drive, a device) is no name anywhere. */
function isFileName(part: string): boolean {
  if (part === '' || part === '.' || part === '..' || Buffer.byteLength(part) > 240 || part.endsWith(UNFINISHED)) return false;
  if (process.platform === 'win32' && (/[<>:"|?*]|[. ]$/.test(part) || /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i.test(part))) return false;
  // eslint-disable-next-line no-control-regex -- control characters are what it is about
  return !/[/\\\u0000-\u001f\u007f]/.test(part);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
