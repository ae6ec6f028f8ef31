/**
 * Files that go on where they were left. Each piece that lies on the disk gets a line in a journal: its file, name, place, size and hash. Asked for
 * the same files again, the writer reads what is there, keeps every piece that is what its line says up to the first that is not, cuts the rest
 * off, and makes only what is missing; so the bytes are those of a file written at one go, whatever ended the process and wherever.
 * A journal belongs to one job: that the pieces it names are still those that are wanted is the caller's to know (main/exports/partial.ts).
 */
import { createHash, type Hash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { z } from 'zod';
import { parseJsonObject } from './json.ts';
import type { Piece, WriteFile } from './pieces.ts';
import { explainWriteError, syncFolder } from './write-beside.ts';

const Entry = z.strictObject({ file: z.string(), piece: z.string(), at: z.int(), bytes: z.int(), sha256: z.string() });
type Entry = z.infer<typeof Entry>;
type Journal = { entries: Map<string, Entry>; append: (entry: Entry) => Promise<void> };

const CHUNK = 1 << 22; // bytes read or written at once
const keyOf = ({ file, piece }: Pick<Entry, 'file' | 'piece'>): string => `${file}\n${piece}`;

/** @param onPiece hears of each piece once it lies on the disk; `kept`: it was found there. */
export async function withJournal<T>(path: string, onPiece: (kept: boolean) => void, use: (write: WriteFile) => Promise<T>): Promise<T> {
  const file = await openOrMake(path);
  try {
    const bytes = await file.readFile();
    const { entries, end } = wholeLines(bytes);
    if (end < bytes.length) await file.truncate(end);
    let at = end;
    const append = async (entry: Entry): Promise<void> => {
      const line = Buffer.from(`${JSON.stringify(entry)}\n`, 'utf8');
      await writeAt(file, line, at);
      await file.datasync();
      at += line.length;
    };
    return await use((target, head, pieces) => writeOn(target, head, pieces, { entries, append }, onPiece));
  } finally {
    await file.close();
  }
}

/** Those before the first that is torn; a later line on a piece takes an earlier one's place. */
function wholeLines(bytes: Buffer): { entries: Journal['entries']; end: number } {
  const entries: Journal['entries'] = new Map();
  let end = 0;
  for (;;) {
    const next = bytes.indexOf('\n', end);
    const entry = next < 0 ? null : readEntry(bytes.subarray(end, next));
    if (!entry) return { entries, end };
    entries.set(keyOf(entry), entry);
    end = next + 1;
  }
}

function readEntry(line: Buffer): Entry | null {
  try {
    return Entry.safeParse(parseJsonObject(line, 'the journal')).data ?? null;
  } catch {
    return null;
  }
}

async function writeOn(path: string, head: Uint8Array, pieces: Piece[], journal: Journal, onPiece: (kept: boolean) => void): Promise<{ bytes: number; sha256: string }> {
  try {
    const file = await openOrMake(path);
    try {
      const name = basename(path);
      const { whole, kept, end } = await findPieces(file, name, head, pieces, journal, onPiece);
      await file.truncate(end);
      if (kept === 0) await writeAt(file, head, 0);
      let at = end;
      for (const { name: piece, bytes, make } of pieces.slice(kept)) {
        const own = createHash('sha256');
        let to = at;
        for (const part of await make()) {
          await writeAt(file, part, to);
          whole.update(part);
          own.update(part);
          to += part.length;
        }
        await file.datasync();
        await journal.append({ file: name, piece, at, bytes, sha256: own.digest('hex') });
        at = to;
        onPiece(false);
      }
      await file.sync();
      return { bytes: at, sha256: whole.digest('hex') };
    } finally {
      await file.close();
    }
  } catch (error) {
    throw explainWriteError(error, path);
  }
}

/** How many pieces from the first are there as the journal says, where they end (or would begin), and the file's hash up to there. */
async function findPieces(
  file: FileHandle, name: string, head: Uint8Array, pieces: Piece[], { entries }: Journal, onPiece: (kept: boolean) => void,
): Promise<{ whole: Hash; kept: number; end: number }> {
  let whole = createHash('sha256').update(head);
  let end = head.length;
  const beginning = Buffer.alloc(head.length);
  await file.read(beginning, 0, head.length, 0);
  if (!beginning.equals(head)) return { whole, kept: 0, end };
  for (const [kept, { name: piece, bytes }] of pieces.entries()) {
    const entry = entries.get(keyOf({ file: name, piece }));
    const after = whole.copy();
    if (entry?.at !== end || entry.bytes !== bytes || (await hashRange(file, end, bytes, after)) !== entry.sha256) return { whole, kept, end };
    whole = after;
    end += bytes;
    onPiece(true);
  }
  return { whole, kept: pieces.length, end };
}

/** The range's own hash, while `whole` goes on over it; null: the file ends before the range does. */
async function hashRange(file: FileHandle, at: number, bytes: number, whole: Hash): Promise<string | null> {
  const own = createHash('sha256');
  const buffer = Buffer.allocUnsafe(Math.min(CHUNK, bytes));
  for (let done = 0; done < bytes;) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, bytes - done), at + done);
    if (bytesRead === 0) return null;
    const part = buffer.subarray(0, bytesRead);
    own.update(part);
    whole.update(part);
    done += bytesRead;
  }
  return own.digest('hex');
}

async function writeAt(file: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length;) done += (await file.write(bytes, done, Math.min(CHUNK, bytes.length - done), at + done)).bytesWritten;
}

/** For reading and writing; what it holds stays. */
async function openOrMake(path: string): Promise<FileHandle> {
  const file = await open(path, constants.O_RDWR | constants.O_CREAT);
  await syncFolder(dirname(path));
  return file;
}
