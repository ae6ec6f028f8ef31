/**
 * A dataset file → Examples, one at a time, in the file's order. Every row that cannot be read becomes a problem with its line and reason;
 * the rest go on. Only a file that cannot be told row from row, or whose columns no first row has, is an error as a whole.
 * Rows are found by rows.ts and understood by formats/; nothing here knows the database.
 */
import type { ColumnMapping } from '../../shared/api/datasets.ts';
import type { DatasetFormat, Example, Message, RowProblem } from '../../shared/dataset.ts';
import { UserError } from '../user-error.ts';
import { convertRow, fittingFormats, FORMATS, mapColumns } from './formats/convert.ts';
import { type Row, RowError, toolsOf } from './formats/row.ts';
import { findOddTurns } from './formats/turns.ts';
import { detectLayout, type Layout, readRows } from './rows.ts';

/** Rows that tell a file's format, and how far they are looked for where rows are broken. */
const SAMPLE = { rows: 20, lines: 1000, characters: 1 << 20 };

/** The format most of the first rows have. Throws, naming the fields it saw, when none fits. */
export async function detectFormat(path: string, mapping?: ColumnMapping): Promise<DatasetFormat> {
  return chooseFormat(path, await detectLayout(path), undefined, mapping);
}

/** The format named, when it fits any of the first rows; when none is named, the one most of them have. */
async function chooseFormat(path: string, layout: Layout, named: DatasetFormat | undefined, mapping?: ColumnMapping): Promise<DatasetFormat> {
  if (layout === 'text') {
    if (named === undefined || named === 'text') return 'text';
    throw new UserError(`${path}: plain text, which cannot be read as ${named}: give JSON or JSON Lines, or --format text`);
  }
  const votes = new Map<DatasetFormat, number>();
  let fields: string[] = [];
  const seen = { rows: 0, lines: 0, characters: 0 };
  for await (const { text, problem } of readRows(path, layout)) {
    if (text.trim() === '') continue;
    seen.lines++;
    seen.characters += text.length;
    try {
      if (problem !== undefined) throw new RowError(problem);
      const row = parseRow(text);
      if (fields.length === 0) fields = Object.keys(row).slice(0, 12);
      const formats = fittingFormats(mapColumns(row, mapping));
      if (named !== undefined && formats.includes(named)) return named;
      if (formats.length > 0) {
        seen.rows++;
        votes.set(formats[0], (votes.get(formats[0]) ?? 0) + 1);
      }
    } catch (error) {
      if (!(error instanceof RowError)) throw error;
    }
    if (seen.rows >= SAMPLE.rows || seen.lines >= SAMPLE.lines || seen.characters >= SAMPLE.characters) break;
  }
  const [best] = [...votes].sort((a, b) => b[1] - a[1]).map(([format]) => format);
  if (named === undefined && best !== undefined) return best;
  const objects = fields.length === 0 ? 'none of its first rows is a JSON object' : `its rows have the fields ${fields.join(', ')}`;
  const saw = seen.lines === 0 ? 'it has no rows' : objects;
  const known = Object.entries(FORMATS).map(([format, { needs }]) => `${format} (${needs})`);
  const mapped = fields.length < 2 ? '' : `say which of them is what, as in --format prompt-completion --map ${quoted(`prompt=${fields[0]}`)} --map ${quoted(`completion=${fields[1]}`)}, or `;
  const rename = `${mapped}name the fields as one of the formats does: ${known.join(', ')}`;
  const way = best === undefined ? rename : `--format ${best} fits (${FORMATS[best].needs})`;
  const what = named === undefined ? 'cannot tell the format' : `not ${named} (${FORMATS[named].needs})`;
  throw new UserError(`${path}: ${what}: ${saw}; ${way}`);
}

/** As a shell takes it for one word. */
const quoted = (word: string): string => (/^[\w=.-]+$/.test(word) ? word : `'${word}'`);

/** Yields an example or a problem for each row, and for a row that deserves a look a warning and then its example. */
export async function* readDataset(
  path: string,
  options: { format?: DatasetFormat; mapping?: ColumnMapping; /** Bytes of the file read so far. */ onBytes?: (bytes: number) => void },
): AsyncGenerator<{ line: number; example: Example } | { problem: RowProblem }, void, void> {
  const layout = await detectLayout(path);
  const format = await chooseFormat(path, layout, options.format, options.mapping);
  let toolsSeen = false;
  for await (const { number: line, text, problem: bad } of readRows(path, layout, options.onBytes)) {
    // a blank line is no row; an empty element of an array is a stray comma
    if (text.trim() === '' && layout !== 'array') continue;
    const problem = (severity: RowProblem['severity'], reason: string) => ({ problem: { file: path, line, severity, reason } });
    let example: Example;
    try {
      if (bad !== undefined) throw new RowError(bad);
      if (layout === 'text') {
        example = { kind: 'text', text };
      } else {
        const row = parseRow(text);
        example = convertRow(mapColumns(row, options.mapping), format);
        if (!toolsSeen && !('tools' in example) && toolsOf(mapColumns(row, options.mapping)).tools) {
          toolsSeen = true;
          yield problem('warning', `the list of tools is left out, here and in rows of its kind after it: a row of kind ${example.kind} has no template that lists them`);
        }
      }
    } catch (error) {
      if (!(error instanceof RowError)) throw error;
      yield problem('skipped', error.message);
      continue;
    }
    for (const reason of warningsOf(example, text)) yield problem('warning', reason);
    yield { line, example };
  }
}

/** What deserves a look in a row that could be read from `text`. */
export function warningsOf(example: Example, text: string): string[] {
  const odd = findOddTurns(turnsOf(example), 'tools' in example ? example.tools : undefined);
  return [
    ...(odd.length > 0 ? [odd.join('; ')] : []),
    ...(text.includes('\uFFFD') ? ['holds U+FFFD (\uFFFD): bytes that are not UTF-8, here or where the text came from'] : []),
  ];
}

/** The turns of a conversation or of a prompt. */
function turnsOf(example: Example): Message[] {
  if (example.kind === 'conversation') return example.messages;
  return 'prompt' in example && typeof example.prompt !== 'string' ? example.prompt : [];
}

export function parseRow(text: string): Row {
  if (text.trim() === '') throw new RowError('an empty element: there is a comma too many');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new RowError(`not valid JSON: ${(error as Error).message}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new RowError('not a JSON object');
  return value as Row;
}
