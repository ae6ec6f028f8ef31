/**
 * A file → its rows as texts, streamed: a line of JSON Lines or plain text, or an element of a JSON array; gzip is seen by its first bytes.
 * Memory holds one row and one chunk, whatever the file's size. What the rows say is formats/'s affair.
 */
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { createGunzip, gunzipSync } from 'node:zlib';
import { UserError } from '../user-error.ts';

export type Layout = 'array' | 'lines' | 'text';
/** `number`: 1-based line, or element of an array. `broken`: why the text is not a whole row. */
export type RawRow = { number: number; text: string; broken?: string };

/** A row beyond this many characters is taken for a missing quote or newline. */
const LONGEST_ROW = 64 * 1024 * 1024;

/** How a file lays out its rows, from its first bytes; refuses what is no text. */
export async function detectLayout(path: string): Promise<Layout> {
  const name = basename(path);
  const head = await readHead(path);
  if (head.length === 0) throw new UserError(`${path}: the file is empty`);
  if (head.subarray(0, 4).toString('latin1') === 'PAR1') throw new UserError(`${path}: a Parquet file: save it as JSON Lines first (pandas: to_json(orient="records", lines=True))`);
  if ((head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff)) throw new UserError(`${path}: UTF-16 text: save it as UTF-8 first`);
  if (head.includes(0)) throw new UserError(`${path}: not a text file: give JSON, JSON Lines (also .gz) or plain text`);
  if (/\.[ct]sv(\.gz)?$/i.test(name)) throw new UserError(`${path}: a table: save it as JSON Lines first (pandas: to_json(orient="records", lines=True))`);
  if (/\.(txt|text|md)(\.gz)?$/i.test(name)) return 'text';
  const text = head.toString('utf8').replace(/^\uFEFF/, '');
  const first = text.trimStart()[0];
  if (first === '[') return 'array';
  if (/\.(jsonl|ndjson)(\.gz)?$/i.test(name)) return 'lines';
  if (first !== '{') return /\.json(\.gz)?$/i.test(name) ? 'lines' : 'text';
  // JSON Lines named .json, or one object over many lines
  const lines = text.split('\n').slice(0, 20);
  if (lines.length > 1 && /^\s*\{\s*$/.test(lines.find((line) => line.trim() !== '') ?? '')) {
    throw new UserError(`${path}: one JSON object, where rows are expected: give an array of rows, or one row a line`);
  }
  return 'lines';
}

export async function* readRows(path: string, layout: Layout): AsyncGenerator<RawRow, void, void> {
  let number = 0;
  try {
    for await (const row of layout === 'array' ? readElements(path) : readLines(path)) {
      number = row.number;
      yield row;
    }
  } catch (error) {
    if (error instanceof UserError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new UserError(`${path}: no such file`);
    if (code?.startsWith('Z_')) throw new UserError(`${path}: the gzip data is damaged or cut off after row ${number} (${message}): fetch the file again`);
    throw new Error(`${path}: reading failed after row ${number}: ${message}`, { cause: error });
  }
}

async function* readLines(path: string): AsyncGenerator<RawRow, void, void> {
  let number = 0;
  let rest: string[] = []; // parts of the line so far
  let length = 0;
  for await (const chunk of readText(path)) {
    let start = 0;
    for (let end = chunk.indexOf('\n'); end >= 0; end = chunk.indexOf('\n', start)) {
      rest.push(chunk.slice(start, end));
      const line = rest.join('');
      yield { number: ++number, text: line.endsWith('\r') ? line.slice(0, -1) : line };
      rest = [];
      length = 0;
      start = end + 1;
    }
    rest.push(chunk.slice(start));
    length += chunk.length - start;
    if (length > LONGEST_ROW) {
      yield { number: number + 1, text: '', broken: `the line is longer than ${LONGEST_ROW} characters: the rest of the file is not read` };
      return;
    }
  }
  if (length > 0) yield { number: number + 1, text: rest.join('') };
}

/** The elements of a top-level JSON array as texts; only brackets, strings and commas are understood here. */
async function* readElements(path: string): AsyncGenerator<RawRow, void, void> {
  let number = 1;
  let depth = 0; // 1: between the elements of the array
  let inString = false;
  let escaped = false;
  let parts: string[] = [];
  let length = 0;
  let ended = false;
  const element = (broken?: string): RawRow => ({ number: number++, text: parts.join('').trim(), broken });
  for await (const chunk of readText(path)) {
    let start = 0;
    for (let i = 0; i < chunk.length && !ended; i++) {
      const c = chunk.charCodeAt(i);
      if (inString) {
        if (escaped) escaped = false;
        else if (c === BACKSLASH) escaped = true;
        else if (c === QUOTE) inString = false;
      } else if (c === QUOTE) inString = true;
      else if (c === BRACKET || c === BRACE) {
        if (depth++ === 0) start = i + 1;
      } else if (c === CLOSE_BRACKET || c === CLOSE_BRACE) {
        if (--depth > 0) continue;
        parts.push(chunk.slice(start, i));
        const last = element();
        if (last.text !== '') yield last;
        parts = [];
        start = i + 1;
        ended = true;
        break;
      } else if (c === COMMA && depth === 1) {
        parts.push(chunk.slice(start, i));
        yield element();
        parts = [];
        length = 0;
        start = i + 1;
      }
    }
    if (ended && chunk.slice(start).trim() !== '') {
      yield element('text stands after the end of the array (a bracket too many?): the rest of the file is not read');
      return;
    }
    if (ended) continue;
    parts.push(chunk.slice(start));
    length += chunk.length - start;
    if (length > LONGEST_ROW) {
      parts = [];
      yield element(`the element is longer than ${LONGEST_ROW} characters (a missing quote or bracket?): the rest of the file is not read`);
      return;
    }
  }
  if (!ended) yield element('the file ends inside this element: it is cut off, or a quote or bracket is missing');
}

const [QUOTE, BACKSLASH, BRACKET, CLOSE_BRACKET, BRACE, CLOSE_BRACE, COMMA] = Array.from('"\\[]{},', (c) => c.charCodeAt(0));

async function* readText(path: string): AsyncGenerator<string, void, void> {
  const file = createReadStream(path, { highWaterMark: 1 << 20 });
  const gunzip = (await isGzip(path)) ? createGunzip() : null;
  file.on('error', (error) => gunzip?.destroy(error));
  const bytes: AsyncIterable<Buffer> = gunzip === null ? file : file.pipe(gunzip);
  const decoder = new TextDecoder('utf-8'); // drops a byte-order mark; bytes that are no UTF-8 become U+FFFD, which formats/ warns of
  try {
    for await (const chunk of bytes) yield decoder.decode(chunk, { stream: true });
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
async function readHead(path: string): Promise<Buffer> {
  const head = await readBytes(path, 1 << 16);
  if (head[0] !== 0x1f || head[1] !== 0x8b) return head;
  try {
    return gunzipSync(head, { finishFlush: 2 /* Z_SYNC_FLUSH: the rest of the data is not here */ }).subarray(0, 1 << 16);
  } catch (error) {
    throw new UserError(`${path}: the gzip data is damaged (${(error as Error).message}): fetch the file again`);
  }
}
