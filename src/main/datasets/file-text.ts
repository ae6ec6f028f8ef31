/** A file as text, streamed: UTF-8, gzip seen by its first bytes. Of its rows nothing is known here (rows.ts). */
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { createGunzip, gunzipSync } from 'node:zlib';
import { UserError } from '../user-error.ts';

/** `onBytes` is told how much of the file has been read. */
export async function* readText(path: string, onBytes?: (bytes: number) => void): AsyncGenerator<string, void, void> {
  const file = createReadStream(path, { highWaterMark: 1 << 20 });
  const gunzip = (await isGzip(path)) ? createGunzip() : null;
  file.on('error', (error) => gunzip?.destroy(error));
  const bytes: AsyncIterable<Buffer> = gunzip === null ? file : file.pipe(gunzip);
  const decoder = new TextDecoder('utf-8'); // drops a byte-order mark; bytes that are no UTF-8 become U+FFFD, which formats/ warns of
  try {
    for await (const chunk of bytes) {
      onBytes?.(file.bytesRead);
      yield decoder.decode(chunk, { stream: true });
    }
    const tail = decoder.decode();
    if (tail !== '') yield tail;
  } finally {
    file.destroy();
    gunzip?.destroy();
  }
}

async function readBytes(path: string, bytes: number): Promise<Buffer> {
  let file;
  try {
    file = await open(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new UserError(code === 'ENOENT' ? `${path}: no such file` : `${path}: ${message}`);
  }
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(bytes), 0, bytes, 0);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    throw new UserError(`${path}: ${(error as Error).message}`);
  } finally {
    await file.close();
  }
}

async function isGzip(path: string): Promise<boolean> {
  const magic = await readBytes(path, 2);
  return magic[0] === 0x1f && magic[1] === 0x8b;
}

/** The first 64 KiB, unpacked. */
export async function readHead(path: string): Promise<Buffer> {
  const head = await readBytes(path, 1 << 16);
  if (head[0] !== 0x1f || head[1] !== 0x8b) return head;
  try {
    return gunzipSync(head, { finishFlush: 2 /* Z_SYNC_FLUSH: the rest of the data is not here */ }).subarray(0, 1 << 16);
  } catch (error) {
    throw new UserError(`${path}: the gzip data is damaged (${(error as Error).message}): fetch the file again`);
  }
}
