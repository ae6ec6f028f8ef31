/**
 * A dataset file → Examples, one at a time, in the file's order. Every row that cannot be read becomes a problem with its line and reason;
 * the rest go on. Rows are found by rows.ts and understood by formats/; nothing here knows the database.
 */
import type { DatasetFormat, Example, RowProblem } from '../../shared/dataset.ts';
import { UserError } from '../user-error.ts';
import { classifyRow, convertRow } from './formats/convert.ts';
import { type Row, RowError } from './formats/row.ts';
import { detectLayout, readRows } from './rows.ts';

/** Rows looked at to tell a file's format. */
const SAMPLE = 20;

/** The format most of the first rows have. Throws, naming the fields it saw, when none fits. */
export async function detectFormat(path: string): Promise<DatasetFormat> {
  const layout = await detectLayout(path);
  if (layout === 'text') return 'text';
  const votes = new Map<DatasetFormat, number>();
  let fields: string | null = null;
  let seen = 0;
  for await (const { text, broken } of readRows(path, layout)) {
    if (text.trim() === '' && broken === undefined) continue;
    if (seen++ === SAMPLE) break;
    try {
      const row = parseRow(text, broken);
      fields ??= Object.keys(row).slice(0, 12).join(', ');
      const format = classifyRow(row);
      if (format !== null) votes.set(format, (votes.get(format) ?? 0) + 1);
    } catch (error) {
      if (!(error instanceof RowError)) throw error;
    }
  }
  const [best] = [...votes].sort((a, b) => b[1] - a[1]);
  if (best !== undefined) return best[0];
  const saw = seen === 0 ? 'it has no rows' : fields === null ? 'none of its first rows is a JSON object' : `its rows have the fields ${fields}`;
  throw new UserError(`${path}: cannot tell the format: ${saw}; give instruction/output, prompt/completion, messages, conversations, chosen/rejected or text`);
}

/** Yields an example or a problem for each row, and for a row that deserves a look a warning and then its example. */
export async function* readDataset(
  path: string,
  options: { format?: DatasetFormat },
): AsyncGenerator<{ line: number; example: Example } | { problem: RowProblem }, void, void> {
  const layout = await detectLayout(path);
  const format = options.format ?? (await detectFormat(path));
  if (layout === 'text' && format !== 'text') throw new UserError(`${path}: plain text, which cannot be read as ${format}: give JSON or JSON Lines, or the format text`);
  let toolsSeen = false;
  for await (const { number: line, text, broken } of readRows(path, layout)) {
    // a blank line is no row; an empty element of an array is a stray comma
    if (text.trim() === '' && broken === undefined && layout !== 'array') continue;
    const problem = (severity: RowProblem['severity'], reason: string) => ({ problem: { file: path, line, severity, reason } });
    let example: Example;
    try {
      if (layout === 'text') {
        if (broken !== undefined) throw new RowError(broken);
        example = { kind: 'text', text };
      } else {
        const row = parseRow(text, broken);
        example = convertRow(row, format);
        if (!toolsSeen && row.tools !== undefined && row.tools !== null) {
          toolsSeen = true;
          yield problem('warning', 'the list of tools is left out, here and in the rows after: put it into a system message to train on it');
        }
      }
    } catch (error) {
      if (!(error instanceof RowError)) throw error;
      yield problem('skipped', error.message);
      continue;
    }
    if (text.includes('\uFFFD')) yield problem('warning', 'holds U+FFFD (\uFFFD): bytes that are not UTF-8, here or where the text came from');
    yield { line, example };
  }
}

function parseRow(text: string, broken: string | undefined): Row {
  if (broken !== undefined) throw new RowError(broken);
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
