/**
 * Datasets: imported by way of a preview, listed, and edited row by row. A table on screen reads a *view*: the ids of the rows a filter
 * lets through, held in main in order, so that any page of a million rows is a slice. Every change is one command that can be undone,
 * also after the window or the workbench was closed.
 */
import { oc, type } from '@orpc/contract';
import { z } from 'zod';
import { DatasetFormat, type DatasetKind, Example, type RowProblem, Split, Template } from '../dataset.ts';
import type { ShownExample } from '../job.ts';
import type { Judging } from '../judging.ts';
import type { Scoring } from '../scoring.ts';
import { answers } from './answers.ts';

export type DatasetSummary = {
  name: string;
  /** Rows of which kind: what it is edited as and trains. */
  kind: DatasetKind;
  rows: number;
  splits: Record<Split, number>;
  /** Left out or warned of at import. */
  skipped: number;
  warnings: number;
  files: { split: Split; file: string; format: string; rows: number; skipped: number; warnings: number; importedAt: string }[];
  /** Made in the editor or changed since import. */
  edited: boolean;
  /** The model that labelled its pairs; null: people, or not known. */
  judge: string | null;
  createdAt: string;
};

/** Our field → the file's column. Fields by format: the `needs` of its FormatFit. */
export const ColumnMapping = z.record(z.string(), z.string());
export type ColumnMapping = z.infer<typeof ColumnMapping>;

export type FormatFit = { format: DatasetFormat; /** fields it reads, and which of them it cannot do without */ fields: { name: string; required: boolean }[]; /** of the sampled rows, how many it could read */ rows: number };

export type ImportPreview = {
  path: string;
  bytes: number;
  /** null: none of the formats fits; map the columns by hand. */
  format: DatasetFormat | null;
  fits: FormatFit[];
  /** Columns of the first rows; empty for plain text. */
  columns: string[];
  /** As used: the given one, or the format's own names. */
  mapping: ColumnMapping;
  sampledRows: number;
  /** First rows, as read and as understood. */
  rows: { line: number; raw: string; example: Example | null; problem: string | null }[];
  /** Of the sampled rows. */
  problems: RowProblem[];
  suggestedName: string;
  suggestedSplit: Split;
};

/** What lets a row through; all that is given must hold. */
export const RowFilter = z.strictObject({
  split: Split.optional(),
  tag: z.string().optional(),
  /** Full-text search: every word must occur, the last may be the beginning of one. */
  text: z.string().optional(),
  /** Changed or added in the editor. */
  edited: z.boolean().optional(),
  /** Of the scores kept of a model: so much or more, and less than so much. Rows without a score pass neither. */
  minScore: z.number().optional(),
  maxScore: z.number().optional(),
});
export type RowFilter = z.infer<typeof RowFilter>;

export type EditorRow = { id: number; split: Split; /** in the file it came from; null for one made here */ line: number | null; tags: string[]; edited: boolean; /** what a model gave it; null: none did, or it was changed since */ score: number | null; example: Example };

/** Which rows a command is about: some by id, or all of a view. */
export const RowSet = z.union([z.strictObject({ ids: z.array(z.int()).min(1) }), z.strictObject({ view: z.int() })]);
export type RowSet = z.infer<typeof RowSet>;

export const EditCommand = z.discriminatedUnion('type', [
  /**
   * `merge`: goes on with the last edit where that is an update of the same row (somebody is typing): one undo takes both back, and where the row
   * is again as it was before, nothing is left to undo.
   */
  z.strictObject({ type: z.literal('update'), id: z.int(), example: Example, merge: z.boolean().optional() }),
  /** `after` null: at the end. */
  z.strictObject({ type: z.literal('insert'), after: z.int().nullable(), split: Split, example: Example }),
  z.strictObject({ type: z.literal('duplicate'), rows: RowSet }),
  z.strictObject({ type: z.literal('delete'), rows: RowSet }),
  z.strictObject({ type: z.literal('tag'), rows: RowSet, tag: z.string().min(1).max(40), on: z.boolean() }),
  z.strictObject({ type: z.literal('split'), rows: RowSet, split: Split }),
  /** Shares of the rows by chance, by seed: 0.8, 0.1, 0.1. */
  z.strictObject({ type: z.literal('split-randomly'), rows: RowSet, validation: z.number().min(0).max(1), test: z.number().min(0).max(1), seed: z.int() }),
  /** Preferences only: chosen ↔ rejected. */
  z.strictObject({ type: z.literal('swap'), rows: RowSet }),
]);
export type EditCommand = z.infer<typeof EditCommand>;

/** What can be undone and redone next: the command and how many rows it is about; null when nothing. */
export type EditHistory = { undo: { type: EditCommand['type']; rows: number } | null; redo: { type: EditCommand['type']; rows: number } | null };
export type EditResult = { history: EditHistory; /** rows touched, in order, at most 1000; the first is where the eye should go */ ids: number[]; /** rows came, went or changed place: views must be opened anew */ reordered: boolean };

const dataset = z.strictObject({ dataset: z.string() });

export const datasets = {
  list: answers<DatasetSummary[]>(),
  preview: oc
    .input(z.strictObject({ path: z.string(), format: DatasetFormat.optional(), mapping: ColumnMapping.optional() }))
    .output(type<ImportPreview>()),
  /** A task (kind `import`); its id. An existing dataset takes one file per split. */
  import: oc
    .input(z.strictObject({ path: z.string(), name: z.string().min(1).max(100), split: Split, format: DatasetFormat.optional(), mapping: ColumnMapping.optional() }))
    .output(type<{ taskId: number }>()),
  /** What the import left out or warned of, a page at a time. */
  problems: oc.input(z.strictObject({ dataset: z.string(), from: z.int().min(0), count: z.int().min(1).max(1000) })).output(type<{ problems: (RowProblem & { split: Split })[]; total: number }>()),
  /** Empty, to be filled in the editor. */
  create: oc.input(z.strictObject({ name: z.string().min(1).max(100), kind: z.enum(['instruction', 'conversation', 'completion', 'preference', 'unpaired', 'ranking', 'classification', 'text']) })).output(type<void>()),
  rename: oc.input(z.strictObject({ dataset: z.string(), name: z.string().min(1).max(100) })).output(type<void>()),
  remove: oc.input(dataset).output(type<void>()),
  /** JSONL of the rows of a split (or all), as a task (kind `export-dataset`). */
  export: oc.input(z.strictObject({ dataset: z.string(), split: Split.optional(), path: z.string() })).output(type<{ taskId: number }>()),

  tags: oc.input(dataset).output(type<{ tag: string; rows: number }[]>()),
  /** A filter's rows in order. The first search of a dataset builds its index: a task (kind `index`) shows how far it is, and this waits for it. */
  openView: oc.input(z.strictObject({ dataset: z.string(), filter: RowFilter })).output(type<{ view: number; count: number; total: number; history: EditHistory }>()),
  closeView: oc.input(z.strictObject({ view: z.int() })).output(type<void>()),
  rows: oc.input(z.strictObject({ view: z.int(), from: z.int().min(0), count: z.int().min(1).max(500) })).output(type<EditorRow[]>()),
  /** As rows, ids alone: a selection over many pages. */
  ids: oc.input(z.strictObject({ view: z.int(), from: z.int().min(0), count: z.int().min(1) })).output(type<number[]>()),
  /** Where a row is in a view; null when the filter leaves it out. */
  locate: oc.input(z.strictObject({ view: z.int(), id: z.int() })).output(type<number | null>()),
  edit: oc.input(z.strictObject({ dataset: z.string(), command: EditCommand })).output(type<EditResult>()),
  /** null when there is nothing to undo. */
  undo: oc.input(dataset).output(type<EditResult | null>()),
  redo: oc.input(dataset).output(type<EditResult | null>()),
  /** A model labels the pairs by a rubric (a task of kind `judge`); its labels become the dataset `name`. */
  judge: oc
    .input(z.strictObject({
      dataset: z.string(), model: z.string().min(1), rubric: z.string().max(20_000), name: z.string().min(1).max(100),
      split: Split.optional(), limit: z.int().min(1).optional(), sampleFrom: z.string().optional(),
    }))
    .output(type<{ taskId: number }>()),
  /** A reward model, or a classifier by one of its labels, scores every row (a task of kind `score`); the scores take the place of those before. */
  score: oc.input(z.strictObject({ dataset: z.string(), model: z.string().min(1), label: z.string().optional() })).output(type<{ taskId: number }>()),
  /** How its rows were scored; null: not yet. */
  scoring: oc.input(dataset).output(type<Scoring | null>()),
  /** The rubric when nobody writes another one. */
  rubric: answers<string>(),
  /** How a dataset's labels were made, where a model made them. */
  judging: oc.input(dataset).output(type<Judging | null>()),
  /** A row as the trainer will see it: tokens with their loss mask. A preference row gives two, chosen first. */
  render: oc
    .input(z.strictObject({ example: Example, model: z.string(), template: Template, maxLength: z.int().min(8), completionOnlyLoss: z.boolean() }))
    .output(type<ShownExample[]>()),
};
