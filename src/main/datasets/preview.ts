/**
 * What an import would make of a file, before it: its format, its columns, the first rows as they stand and as they are understood.
 * Reads the beginning of the file only, by the same parts as the import (import.ts), and writes nothing.
 */
import { statSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import type { ColumnMapping, FormatFit, ImportPreview } from '../../shared/api/datasets.ts';
import { DatasetFormat, type Example, type Split } from '../../shared/dataset.ts';
import { convertRow, fittingFormats, FORMATS, mapColumns, ownMapping } from './formats/convert.ts';
import { type Row, RowError } from './formats/row.ts';
import { parseRow, warningsOf } from './import.ts';
import { detectLayout, readRows } from './rows.ts';

/** Rows the formats are tried on, and characters at most. */
const SAMPLE = { rows: 500, characters: 2 << 20 };
const SHOWN = 20;
/** Of a raw row. */
const SHOWN_CHARACTERS = 4000;

type Sampled = { line: number; text: string; row: Row | null; problem: string | null };

export async function previewImport({
  path, format: named, mapping: given,
}: { path: string; format?: DatasetFormat; mapping?: ColumnMapping }): Promise<ImportPreview> {
  const file = resolve(path);
  const layout = await detectLayout(file);
  const plain = layout === 'text';
  const sampled: Sampled[] = [];
  let characters = 0;
  for await (const { number: line, text, problem } of readRows(file, layout)) {
    if (text.trim() === '' && layout !== 'array') continue;
    sampled.push({ line, text, ...(problem !== undefined ? { row: null, problem } : plain ? { row: { text }, problem: null } : parse(text)) });
    characters += text.length;
    if (sampled.length >= SAMPLE.rows || characters >= SAMPLE.characters) break;
  }

  const rows = sampled.flatMap(({ row }) => (row ? [row] : []));
  const columns = plain ? [] : [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const mapping = given && Object.keys(given).length > 0 ? given : undefined;
  const fits: FormatFit[] = [];
  for (const tried of plain ? (['text'] as const) : DatasetFormat.options) {
    fits.push(fitOf(tried, rows, mapping));
    await new Promise(setImmediate);
  }
  const format = named ?? mostFitting(rows, mapping);
  const understood = sampled.map((row) => understand(row, format, mapping));
  const problems = sampled.flatMap(({ line }, i) => {
    const { problem, warnings } = understood[i];
    const skipped = problem === null ? [] : [{ file, line, severity: 'skipped' as const, reason: problem }];
    return [...warnings.map((reason) => ({ file, line, severity: 'warning' as const, reason })), ...skipped];
  });
  return {
    path: file,
    bytes: statSync(file).size,
    format,
    fits,
    columns,
    mapping: mapping ?? (format === null || plain ? {} : ownMapping(format, columns)),
    sampledRows: sampled.length,
    rows: sampled.slice(0, SHOWN).map(({ line, text }, i) => {
      const { example, problem } = understood[i];
      return { line, raw: text.slice(0, SHOWN_CHARACTERS), example, problem };
    }),
    problems,
    suggestedName: suggestName(file),
    suggestedSplit: suggestSplit(file),
  };
}

function parse(text: string): Pick<Sampled, 'row' | 'problem'> {
  try {
    return { row: parseRow(text), problem: null };
  } catch (error) {
    return { row: null, problem: reasonOf(error) };
  }
}

function fitOf(format: DatasetFormat, rows: Row[], mapping: ColumnMapping | undefined): FormatFit {
  const readable = rows.filter((row) => understand({ row, problem: null, text: '' }, format, mapping).example !== null);
  return { format, fields: FORMATS[format].fields.map(({ name, required }) => ({ name, required })), rows: readable.length };
}

/** The format the import would find: by columns, the first listed where a row fits several. */
function mostFitting(rows: Row[], mapping: ColumnMapping | undefined): DatasetFormat | null {
  const counts = new Map<DatasetFormat, number>();
  for (const row of rows) {
    const [first] = fittingFormats(mapColumns(row, mapping));
    if (first) counts.set(first, (counts.get(first) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? null;
}

function understand(
  { row, problem, text }: Pick<Sampled, 'row' | 'problem' | 'text'>,
  format: DatasetFormat | null,
  mapping: ColumnMapping | undefined,
): { example: Example | null; problem: string | null; warnings: string[] } {
  if (row === null || format === null) return { example: null, problem: problem ?? 'no format fits its columns', warnings: [] };
  try {
    const example = convertRow(mapColumns(row, mapping), format);
    return { example, problem: null, warnings: warningsOf(example, text) };
  } catch (error) {
    return { example: null, problem: reasonOf(error), warnings: [] };
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof RowError) return error.message;
  throw error;
}

/** The file's name without its endings and without the word that names its split. */
function suggestName(path: string): string {
  const name = basename(path).replace(/(\.(jsonl?|ndjson|csv|tsv|parquet|txt|text|md|gz))+$/i, '');
  return name.replace(/[-_. ]?(train(ing)?|valid(ation)?|val|dev|eval|held-?out|test)$/i, '') || name;
}

function suggestSplit(path: string): Split {
  const words = basename(path).toLowerCase().split(/[^a-z]+/);
  if (words.some((word) => ['validation', 'valid', 'val', 'dev', 'eval', 'heldout', 'held'].includes(word))) return 'validation';
  return words.includes('test') ? 'test' : 'train';
}
