/**
 * Files made of a head and of pieces, such as tensors, whose sizes are known before they are made. What they hold is the formats' to say; whether
 * a file is written at one go (here) or goes on where it was left (journal.ts) is the caller's to choose.
 */
import { writeFileBeside } from './write-beside.ts';

/** `make` gives `bytes` bytes, the same ones each time, in parts that follow each other. */
export type Piece = { name: string; bytes: number; make: () => Promise<Uint8Array[]> };

/** Writes the file and gives its size and hash. */
export type WriteFile = (path: string, head: Uint8Array, pieces: Piece[]) => Promise<{ bytes: number; sha256: string }>;

export const writeAtOnce: WriteFile = (path, head, pieces) =>
  writeFileBeside(path, async (write) => {
    await write(head);
    for (const { make } of pieces) for (const part of await make()) await write(part);
  });
