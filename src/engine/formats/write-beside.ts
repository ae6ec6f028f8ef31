/**
 * Files and folders that appear whole or not at all: written under a temporary name beside their place, flushed to the disk,
 * then renamed in. On any failure the temporary is removed and the old file, if there was one, is untouched.
 * It knows nothing of what it writes.
 */
import { createHash } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

export type WrittenFile = { name: string; bytes: number; sha256: string };
export type Write = (bytes: Uint8Array | string) => Promise<void>;

const CHUNK = 1 << 26; // bytes of one write call; the system's own limit is 2 GiB

/** `produce` calls `write` with the file's bytes, in order. The folder must exist. */
export async function writeFileBeside(path: string, produce: (write: Write) => Promise<void>): Promise<{ bytes: number; sha256: string }> {
  const temporary = `${path}.${process.pid}.tmp`;
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    const file = await open(temporary, 'w');
    try {
      await produce(async (data) => {
        const all = typeof data === 'string' ? Buffer.from(data, 'utf8') : data;
        hash.update(all);
        for (let at = 0; at < all.byteLength;) at += (await file.write(all, at, Math.min(CHUNK, all.byteLength - at))).bytesWritten;
        bytes += all.byteLength;
      });
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true });
    throw explainWriteError(error, path);
  }
  return { bytes, sha256: hash.digest('hex') };
}

/**
 * `produce` fills an empty folder, which then becomes `out` in one step. Where `out` already is a folder, its other files stay and files of
 * the same names are replaced one by one, `last` (the one that makes the folder count as whole) after all others.
 */
export async function writeFolderBeside<T>(out: string, last: string, produce: (folder: string) => Promise<T>): Promise<T> {
  const temporary = join(dirname(out), `.${basename(out)}.${process.pid}.tmp`);
  try {
    await mkdir(dirname(out), { recursive: true });
    await rm(temporary, { recursive: true, force: true }); // of a process that was killed and had this number
    await mkdir(temporary);
    const result = await produce(temporary);
    if (await stat(out).catch(() => null)) {
      await mkdir(out, { recursive: true }); // fails where `out` is a file
      const names = (await readdir(temporary)).filter((name) => name !== last).sort();
      for (const name of [...names, last]) await rename(join(temporary, name), join(out, name));
      await rmdir(temporary);
      await syncFolder(out);
    } else {
      await rename(temporary, out);
    }
    await syncFolder(dirname(out));
    return result;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    if (error instanceof Error) error.message = error.message.replaceAll(temporary, out);
    throw explainWriteError(error, out);
  }
}

/** A rename survives a power cut only once its folder is flushed; Windows cannot open folders and does without. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder === '' ? '.' : folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const REASONS: Record<string, string> = {
  ENOSPC: 'the disk is full; free some space and try again',
  EDQUOT: 'the disk quota is used up; free some space and try again',
  EFBIG: 'the file would be larger than this disk or shell allows; write to another place or raise the limit (ulimit -f)',
  EACCES: 'no permission to write there; choose another place or change its permissions',
  EPERM: 'no permission to write there; choose another place or change its permissions',
  EROFS: 'that disk is read-only; choose another place',
  ENOENT: 'its folder does not exist; create it first',
  ENOTDIR: 'a part of that path is a file, not a folder; choose another place',
  EEXIST: 'a file of that name is in the way; move it or choose another place',
  EISDIR: 'a folder of that name is in the way; move it or choose another place',
};

/** System errors become a sentence; every other error (a source that could not be read, say) passes as it is. */
export function explainWriteError(error: unknown, path: string): unknown {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  const reason = code === undefined ? undefined : REASONS[code];
  const isWrite = (error as NodeJS.ErrnoException).syscall !== undefined;
  return reason !== undefined && isWrite ? new Error(`cannot write ${path}: ${reason}`, { cause: error }) : error;
}

/** Size and sha256 of a file that is already there, read in pieces. */
export async function hashFile(path: string): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  const file = await open(path, 'r');
  try {
    const buffer = Buffer.allocUnsafe(1 << 20);
    let bytes = 0;
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, bytes);
      if (bytesRead === 0) return { bytes, sha256: hash.digest('hex') };
      hash.update(buffer.subarray(0, bytesRead));
      bytes += bytesRead;
    }
  } finally {
    await file.close();
  }
}

export async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null))?.isFile() ?? false;
}
