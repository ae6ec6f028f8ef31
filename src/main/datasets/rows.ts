/**
 * A file → its rows as texts, streamed: a line of JSON Lines, an element of a JSON array, a row of a table put as JSON (csv.ts, parquet.ts), or a
 * paragraph of plain text (parted by blank lines; a line each where the first MiB has no blank line). Gzip is seen by its first bytes. Memory holds one
 * row and one chunk (of Parquet a row group), whatever the file's size. Where it is not clear how the file goes on (a bracket or quote missing from an array) reading ends with an error: the
 * rows after would be lost. What the rows say is formats/'s affair.
 */
import { basename } from 'node:path';
import { UserError } from '../user-error.ts';
import { readCsv } from './csv.ts';
import { readHead, readText } from './file-text.ts';
import { readParquet } from './parquet.ts';

export type Layout = 'array' | 'lines' | 'text' | 'csv' | 'parquet';
/** `number`: 1-based line (the first of a paragraph or of a table's row), or element of an array, or row of a Parquet file. */
export type RawRow = { number: number; text: string; /** why it cannot be read, where that is known already */ problem?: string };

/** A row beyond this many characters is taken for a missing quote or newline. */
const LONGEST_ROW = 64 * 1024 * 1024;

/** How a file lays out its rows, from its first bytes; refuses what is no text. */
export async function detectLayout(path: string): Promise<Layout> {
  const name = basename(path);
  const head = await readHead(path);
  if (head.length === 0) throw new UserError(`${path}: the file is empty`);
  if (head.subarray(0, 4).toString('latin1') === 'PAR1') return 'parquet';
  if ((head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff)) throw new UserError(`${path}: UTF-16 text: save it as UTF-8 first`);
  if (head.includes(0)) throw new UserError(`${path}: not a text file: give JSON, JSON Lines, CSV (also .gz), Parquet or plain text`);
  if (/\.[ct]sv(\.gz)?$/i.test(name)) return 'csv';
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

/** `onBytes` is told how much of the file has been read. */
export async function* readRows(path: string, layout: Layout, onBytes?: (bytes: number) => void): AsyncGenerator<RawRow, void, void> {
  let number = 0;
  try {
    const read = await readerOf(path, layout);
    for await (const row of read(path, onBytes)) {
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

type Reader = (path: string, onBytes?: (bytes: number) => void) => AsyncGenerator<RawRow, void, void>;

async function readerOf(path: string, layout: Layout): Promise<Reader> {
  if (layout === 'text') return (await hasParagraphs(path)) ? readParagraphs : readLines;
  return { array: readElements, lines: readLines, csv: readCsv, parquet: readParquet }[layout];
}

async function* readLines(path: string, onBytes?: (bytes: number) => void): AsyncGenerator<RawRow, void, void> {
  let number = 0;
  let rest: string[] = []; // parts of the line so far
  let length = 0;
  for await (const chunk of readText(path, onBytes)) {
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
    if (length > LONGEST_ROW) throw new UserError(`${path}: line ${number + 1} is longer than ${LONGEST_ROW} characters: give one row a line`);
  }
  if (length > 0) yield { number: number + 1, text: rest.join('') };
}

/** Whether a blank line stands between two lines of text within the first MiB. */
async function hasParagraphs(path: string): Promise<boolean> {
  let previous: 'nothing' | 'text' | 'blank' = 'nothing';
  let length = 0;
  for await (const { text } of readLines(path)) {
    if (text.trim() !== '') {
      if (previous === 'blank') return true;
      previous = 'text';
    } else if (previous === 'text') previous = 'blank';
    length += text.length + 1;
    if (length > 1 << 20) return false;
  }
  return false;
}

async function* readParagraphs(path: string, onBytes?: (bytes: number) => void): AsyncGenerator<RawRow, void, void> {
  let lines: string[] = [];
  let first = 0; // number of the paragraph's first line
  let length = 0;
  for await (const { number, text } of readLines(path, onBytes)) {
    if (text.trim() !== '') {
      if (lines.length === 0) first = number;
      lines.push(text);
      length += text.length + 1;
      if (length > LONGEST_ROW) {
        throw new UserError(`${path}: the paragraph of line ${first} is longer than ${LONGEST_ROW} characters: part it with blank lines`);
      }
    } else if (lines.length > 0) {
      yield { number: first, text: lines.join('\n') };
      lines = [];
      length = 0;
    }
  }
  if (lines.length > 0) yield { number: first, text: lines.join('\n') };
}

/** The elements of a top-level JSON array as texts; only brackets, strings and commas are understood here. */
async function* readElements(path: string, onBytes?: (bytes: number) => void): AsyncGenerator<RawRow, void, void> {
  let number = 1; // of the element at hand
  let line = 1; // of the character at hand
  let begin = 0; // line where the element begins; 0: no text of it yet
  const closers: number[] = []; // the bracket that closes each one open, the array's own first
  let inString = false;
  let escaped = false;
  let ended = false;
  let parts: string[] = [];
  let length = 0;
  const fail = (reason: string): never => {
    const where = begin === 0 || begin === line ? '' : `, which begins in line ${begin}`;
    const way = 'mend it there, or save the rows one a line (.jsonl)';
    throw new UserError(`${path}: line ${line}, row ${number} of the array${where}: ${reason}; ${way}`);
  };
  const element = (rest: string): RawRow => {
    const row = { number: number++, text: [...parts, rest].join('').trim() };
    parts = [];
    length = 0;
    begin = 0;
    return row;
  };
  for await (const chunk of readText(path, onBytes)) {
    let start = 0;
    for (let i = 0; i < chunk.length; i++) {
      const c = chunk.charCodeAt(i);
      if (c === NEWLINE) {
        // JSON writes it as \n: here a quote is missing, and every text after would be taken for what stands between texts
        if (inString) fail('a text in it has no closing quote before the line ends');
        line++;
      } else if (inString) {
        if (escaped) escaped = false;
        else if (c === BACKSLASH) escaped = true;
        else if (c === QUOTE) inString = false;
      } else if (c > SPACE) {
        if (ended) fail('text stands after the end of the array (a bracket too many?)');
        const between = closers.length === 1;
        if (c === COMMA && between) {
          yield element(chunk.slice(start, i));
          start = i + 1;
          continue;
        }
        if (c === CLOSE_BRACKET || c === CLOSE_BRACE) {
          const closer = closers.pop()!;
          const [found, wanted] = [c, closer].map((code) => String.fromCharCode(code));
          if (found !== wanted) fail(`a ${found} where a ${wanted} must come first: a bracket is missing or too many`);
          if (!between) continue;
          const last = element(chunk.slice(start, i));
          if (last.text !== '') yield last;
          ended = true;
          continue;
        }
        if (begin === 0 && closers.length > 0) begin = line;
        if (c === QUOTE) inString = true;
        else if (c === BRACKET || c === BRACE) {
          if (closers.length === 0) start = i + 1;
          closers.push(c === BRACKET ? CLOSE_BRACKET : CLOSE_BRACE);
        }
      }
    }
    if (ended) continue;
    parts.push(chunk.slice(start));
    length += chunk.length - start;
    if (length > LONGEST_ROW) fail(`it has no end within ${LONGEST_ROW} characters: a quote or bracket is missing`);
  }
  if (!ended) fail('the file ends before the array does: it is cut off, or a quote or bracket is missing');
}

const [QUOTE, BACKSLASH, BRACKET, CLOSE_BRACKET, BRACE, CLOSE_BRACE, COMMA, SPACE, NEWLINE] = Array.from('"\\[]{}, \n', (c) => c.charCodeAt(0));
