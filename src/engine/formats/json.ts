/**
 * JSON of files other programs wrote: every failure is a sentence that names the file, and a key given twice is refused,
 * where JSON.parse would silently keep the last. It checks no schema; the caller does.
 */
import { readFile } from 'node:fs/promises';
import { writeFileBeside } from './write-beside.ts';

/** Levels of objects and lists; what works through a value may do so by recursion. */
const DEEPEST = 200;

/** `where` starts every message: a file, or a file and its part. */
export function parseJsonObject(bytes: Uint8Array, where: string): Record<string, unknown> {
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new Error(`${where} is not UTF-8 text: it is damaged; download it again`);
  }
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`${where} is not valid JSON (${(error as Error).message}): mend it or download it again`, { cause: error });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error(`${where} is JSON but not an object: download it again`);
  if (isDeeperThan(text, DEEPEST)) throw new Error(`${where} is nested more than ${DEEPEST} deep: download it again`);
  const twice = duplicateKey(text);
  if (twice !== null) throw new Error(`${where} names ${twice.slice(0, 120)} twice: remove one of the two or download it again`);
  return value as Record<string, unknown>;
}

/** A missing file gives null when `optional`, else a sentence. */
export async function readJsonFile(path: string, optional: true): Promise<Record<string, unknown> | null>;
export async function readJsonFile(path: string): Promise<Record<string, unknown>>;
export async function readJsonFile(path: string, optional = false): Promise<Record<string, unknown> | null> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' && optional) return null;
    throw new Error(code === 'ENOENT' ? `there is no ${path}; a model folder needs this file` : `cannot read ${path}: ${message}`, {
      cause: error,
    });
  }
  return parseJsonObject(bytes, path);
}

/** Indented by two, keys in the order they have; the file appears whole or not at all. */
export async function writeJsonFile(path: string, value: unknown): Promise<{ bytes: number; sha256: string }> {
  return writeFileBeside(path, (write) => write(`${JSON.stringify(value, null, 2)}\n`));
}

/** Of text already known to be valid JSON. */
function isDeeperThan(text: string, most: number): boolean {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x22) for (i++; text.charCodeAt(i) !== 0x22; i++) i += text.charCodeAt(i) === 0x5c ? 1 : 0;
    else if (c === 0x7b || c === 0x5b) depth++;
    else if (c === 0x7d || c === 0x5d) depth--;
    if (depth > most) return true;
  }
  return false;
}

/** The first key some object holds twice, in text already known to be valid JSON. */
function duplicateKey(text: string): string | null {
  const open: (Set<string> | null)[] = []; // keys of each enclosing object; null for an array
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '{') open.push(new Set());
    else if (c === '[') open.push(null);
    else if (c === '}' || c === ']') open.pop();
    else if (c === '"') {
      const begin = i;
      for (i++; text[i] !== '"'; i++) if (text[i] === '\\') i++;
      const keys = open[open.length - 1];
      if (!keys || !isFollowedByColon(text, i + 1)) continue;
      const written = text.slice(begin + 1, i);
      const key = written.includes('\\') ? (JSON.parse(`"${written}"`) as string) : written;
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return null;
}

function isFollowedByColon(text: string, at: number): boolean {
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\r' || text[at] === '\t') at++;
  return text[at] === ':';
}
