/**
 * A table of comma-, semicolon- or tab-separated values → its rows as JSON texts, streamed (csv-parse). The first row names the columns, every cell is a
 * text. A row with too many or too few cells is a row that cannot be read; a quote that is never closed is an error of the file, since it swallows
 * the rows after it.
 */
import { Readable } from 'node:stream';
import { type CsvError, type Info, parse } from 'csv-parse';
import { UserError } from '../user-error.ts';
import { readHead, readText } from './file-text.ts';
import type { RawRow } from './rows.ts';

/** Characters a row may have. */
const LONGEST_ROW = 64 * 1024 * 1024;

export async function* readCsv(path: string, onBytes?: (bytes: number) => void): AsyncGenerator<RawRow, void, void> {
  const parser = parse({
    delimiter: delimiterOf((await readHead(path)).toString('utf8')),
    info: true,
    relax_column_count: true,
    relax_quotes: true,
    skip_empty_lines: true,
    max_record_size: LONGEST_ROW,
  });
  const text = Readable.from(readText(path, onBytes), { objectMode: false });
  text.on('error', (error) => parser.destroy(error));
  text.pipe(parser);
  let names: string[] | null = null;
  let read = 0;
  try {
    for await (const { record: cells, info } of parser as AsyncIterable<{ record: string[]; info: Info }>) {
      read = info.lines;
      if (names === null) {
        names = cells.map((name) => name.trim());
        checkNames(path, names);
        continue;
      }
      const number = info.lines - cells.reduce((lines, cell) => lines + (cell.match(/\n/g) ?? []).length, 0);
      const row = JSON.stringify(Object.fromEntries(names.map((name, i) => [name, cells[i]])));
      if (cells.length === names.length) yield { number, text: row };
      else yield { number, text: row, problem: `it has ${cells.length} cell${cells.length === 1 ? '' : 's'} where the first row names ${names.length} columns: a comma or quote is missing or too many` };
    }
  } catch (error) {
    const { code } = error as CsvError;
    if (code === 'CSV_QUOTE_NOT_CLOSED') throw new UserError(`${path}: after line ${read} a quote opens a cell and is never closed: close it, or double it where it is part of the text`);
    if (code === 'CSV_MAX_RECORD_SIZE') throw new UserError(`${path}: after line ${read} a row is longer than ${LONGEST_ROW} characters: a quote is missing`);
    throw error;
  } finally {
    text.destroy();
  }
}

function checkNames(path: string, names: string[]): void {
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new UserError(`${path}: its first row names the column ${JSON.stringify(twice)} twice: the first row must name every column`);
  if (names.includes('')) throw new UserError(`${path}: its first row has an empty cell (number ${names.indexOf('') + 1}): the first row must name every column`);
}

/** What stands most often in the first line outside of quotes. */
function delimiterOf(head: string): string {
  const line = head.slice(0, /[\r\n]/.exec(head)?.index).replace(/"[^"]*"/g, '');
  const count = (sign: string): number => line.split(sign).length;
  return ['\t', ';'].reduce((best, sign) => (count(sign) > count(best) ? sign : best), ',');
}
