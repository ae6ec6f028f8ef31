/**
 * Files of this machine for the window's own dialog: folders are listed and made, nothing is read, written or deleted. Hidden ones (dotfiles)
 * are left out. Where the shell has a system dialog, that is asked instead.
 */
import { existsSync } from 'node:fs';
import { mkdir, opendir, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import type { FolderEntry } from '../shared/api/workbench.ts';
import { UserError } from './user-error.ts';
import type { Shell } from './workbench.ts';

/** More entries than this are cut off: nobody scrolls through them. */
const MOST_ENTRIES = 10_000;

export async function listFolder(folder: string | null): Promise<{ folder: string; parent: string | null; entries: FolderEntry[] }> {
  const path = absolute(folder ?? homedir());
  const entries: FolderEntry[] = [];
  try {
    for await (const { name } of await opendir(path)) {
      if (name.startsWith('.')) continue;
      const entry = await describe(join(path, name));
      if (entry) entries.push(entry);
      if (entries.length === MOST_ENTRIES) break;
    }
  } catch (error) {
    throw explain(error, path, 'listed');
  }
  const order = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' });
  entries.sort((a, b) => (a.kind === b.kind ? order.compare(a.name, b.name) : a.kind === 'folder' ? -1 : 1));
  return { folder: path, parent: dirname(path) === path ? null : dirname(path), entries };
}

/** The new folder's path. */
export async function makeFolder(folder: string, name: string): Promise<string> {
  const wanted = name.trim();
  if (wanted === '' || wanted === '.' || wanted === '..' || /[/\\\0]/.test(wanted)) throw new UserError(`${JSON.stringify(name)}: not a folder's name: leave out / and \\`);
  const path = join(absolute(folder), wanted);
  try {
    await mkdir(path);
    return path;
  } catch (error) {
    throw explain(error, path, 'made');
  }
}

export async function chooseFile({ choose }: Shell, options: Parameters<NonNullable<Shell['choose']>>[0]): Promise<string | null> {
  if (!choose) throw new UserError('the system’s file dialog is there in the desktop app only: type the path, or pick it from the list');
  return choose(options);
}

export function revealFile({ reveal }: Shell, path: string): void {
  if (!reveal) throw new UserError('the system’s file manager can be opened from the desktop app only');
  if (!existsSync(absolute(path))) throw new UserError(`${path}: it is not there any more`);
  reveal(path);
}

/** Null for what is neither a file nor a folder, or went away meanwhile. */
async function describe(path: string): Promise<FolderEntry | null> {
  const found = await stat(path).catch(() => null); // a link to nowhere, or no permission
  if (!found || !(found.isDirectory() || found.isFile())) return null;
  const kind = found.isDirectory() ? 'folder' : 'file';
  const isModel = kind === 'file' ? path.endsWith('.gguf') : existsSync(join(path, 'config.json')) || existsSync(join(path, 'adapter_config.json'));
  return { name: basename(path), path, kind, bytes: kind === 'file' ? found.size : null, modifiedAt: found.mtime.toISOString(), isModel };
}

/** `~` stands for the home folder; a relative path means nothing here. */
function absolute(folder: string): string {
  const path = folder === '~' || folder.startsWith('~/') ? join(homedir(), folder.slice(1)) : folder;
  if (!isAbsolute(path) || path.includes('\0')) throw new UserError(`${folder}: not a whole path: begin it with / (or ~ for the home folder)`);
  return resolve(path);
}

const REASONS: Record<string, string> = {
  ENOENT: 'there is no such folder',
  ENOTDIR: 'a file is in the way',
  EACCES: 'you have no permission there',
  EPERM: 'you have no permission there',
  EEXIST: 'it is there already',
  EROFS: 'the disk is read-only',
  ENOSPC: 'the disk is full',
};

function explain(error: unknown, path: string, done: string): UserError {
  const { code, message } = error as NodeJS.ErrnoException;
  return new UserError(`${path} cannot be ${done}: ${REASONS[code ?? ''] ?? message}: choose another place`);
}
