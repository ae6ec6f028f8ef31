/**
 * The commands of the dataset editors. A command becomes effects (db/edits.ts), which undo reverts and redo applies again, also after the
 * workbench was closed. A small command is one transaction; a big one many, some ms each: until its last it is marked as on its way, and
 * whoever finds it broken off takes it back, so it happens whole or not at all. When a function here returns, the edit is in the database.
 */
import type { EditCommand, EditHistory, EditResult, RowSet } from '../../shared/api/datasets.ts';
import { type DatasetFormat, type DatasetKind, datasetKindOf, type Example, Split } from '../../shared/dataset.ts';
import type { Database } from '../db/database.ts';
import { ensureDatasetFile, listDatasetFiles } from '../db/datasets.ts';
import {
  addEffect, clearForgotten, type Effect, extendUpdate, forgetEdits, insertEdit, listUnfinishedEdits, nextEdit, rollBackEdit, setEditState,
  turnEffect,
} from '../db/edits.ts';
import { findRoom, insertCopies, insertDraft, listExampleHeads, listExamples } from '../db/examples.ts';
import { copyTags, listTagsOfRows } from '../db/tags.ts';
import { isAlive, OWNER } from '../process-identity.ts';
import { UserError } from '../user-error.ts';
import type { Workbench } from '../workbench.ts';
import { type Dataset, getDataset } from './index.ts';
import { inSlices } from './slices.ts';

/** What an edit needs of the workbench; the command line has no more. */
export type Desk = Pick<Workbench, 'library' | 'datasets' | 'changes'>;

/** Edits of a dataset that can be undone. */
const KEPT = 500;
/** Rows of one effect. */
const TOGETHER = 100;
/** Ids an edit tells. */
const TOLD = 1000;

export function editDataset(
  workbench: Desk,
  { dataset: name, command }: { dataset: string; command: EditCommand },
): Promise<EditResult> {
  return alone(workbench, name, async (dataset) => {
    const { db } = workbench.library;
    if (command.type === 'update' && isAsItWas(db, dataset, command)) {
      return { history: editHistory(db, dataset.id), ids: [command.id], reordered: false };
    }
    if (command.type === 'update' && command.merge && goOnTyping(db, dataset, command)) {
      return { history: editHistory(db, dataset.id), ids: [command.id], reordered: false };
    }
    const about = { datasetId: dataset.id, type: command.type, owner: OWNER };
    const ids: number[] = [];
    const steps = planSteps(workbench, dataset, command);
    let id: number | null = null;
    let touched = 0;
    await inSlices(db, () => {
      const { value: step } = steps.next();
      if (step) {
        const effects = step();
        if (effects.length > 0 && id === null) {
          forgetEdits(db, dataset.id, 'undone');
          id = insertEdit(db, about);
        }
        for (const effect of effects) {
          addEffect(db, id!, effect);
          touched += effect.ids.length;
          if (ids.length < TOLD) ids.push(...effect.ids.slice(0, TOLD - ids.length));
        }
        return true;
      }
      if (touched === 0) throw new UserError(nothingTouched(command));
      setEditState(db, { ...about, id: id! }, 'done', OWNER);
      forgetEdits(db, dataset.id, { keep: KEPT });
      return false;
    });
    return { history: editHistory(db, dataset.id), ids, reordered: reorders(command.type) };
  });
}

/** Null when there is nothing to undo, or redo. */
export function turnEdit(workbench: Desk, name: string, what: 'undo' | 'redo'): Promise<EditResult | null> {
  return alone(workbench, name, async (dataset) => {
    const { db } = workbench.library;
    const edit = nextEdit(db, dataset.id, what);
    if (!edit) return null;
    const ids: number[] = [];
    let begun = false;
    await inSlices(db, () => {
      if (!begun) setEditState(db, edit, what === 'undo' ? 'undoing' : 'redoing', OWNER);
      begun = true;
      const effect = turnEffect(db, edit.id, what === 'redo');
      if (!effect) setEditState(db, edit, what === 'undo' ? 'undone' : 'done', OWNER);
      else if (ids.length < TOLD) ids.push(...effect.ids.slice(0, TOLD - ids.length));
      return effect !== null;
    });
    return { history: editHistory(db, dataset.id), ids, reordered: reorders(edit.type as EditCommand['type']) };
  });
}

export function editHistory(db: Database, datasetId: number): EditHistory {
  const [undo, redo] = (['undo', 'redo'] as const).map((what) => {
    const edit = nextEdit(db, datasetId, what);
    return edit ? { type: edit.type as EditCommand['type'], rows: edit.rows } : null;
  });
  return { undo, redo };
}

/** One edit of a dataset at a time. What was broken off before is taken back first, and again when this one fails. */
function alone<T>(workbench: Desk, name: string, work: (dataset: Dataset) => Promise<T>): Promise<T> {
  const { library, datasets, changes } = workbench;
  const { id } = getDataset(library, name);
  return datasets.inTurn(id, async () => {
    settle(library.db, id);
    try {
      return await work(getDataset(library, name));
    } catch (error) {
      settle(library.db, id);
      throw error;
    } finally {
      // nothing can reach what is cleared away, so nobody waits for it; what is left at the end is cleared after the next edit
      datasets.afterwards(() => inSlices(library.db, () => clearForgotten(library.db, id)));
      changes.tell('datasets');
    }
  });
}

/** Only for who has its turn: an unfinished edit of this process is then one that failed. */
function settle(db: Database, datasetId: number): void {
  for (const edit of listUnfinishedEdits(db, datasetId)) {
    if (edit.owner !== OWNER && isAlive(edit.owner)) {
      throw new UserError('another process is editing this dataset just now: try again when it is done');
    }
    rollBackEdit(db, edit);
  }
}

const reorders = (type: EditCommand['type']): boolean => type !== 'update' && type !== 'tag' && type !== 'swap';

function nothingTouched(command: EditCommand): string {
  if (command.type === 'swap') return 'there is neither a preference pair nor a labelled answer among these rows';
  if (command.type === 'tag') return `${command.on ? 'these rows have' : 'none of these rows has'} the tag ${command.tag}${command.on ? ' already' : ''}`;
  if (command.type === 'split') return `these rows are in the ${command.split} split already`;
  if (command.type === 'split-randomly') return 'these rows are in the splits drawn for them already';
  return 'these rows are gone: they were deleted meanwhile, and undo may bring them back';
}

/** A step finds out what is to be done about some rows, in the transaction that does it. */
function* planSteps(workbench: Desk, dataset: Dataset, command: EditCommand): Generator<() => Effect[], void, void> {
  const { db } = workbench.library;
  if (command.type === 'tag' && command.tag.trim() === '') throw new UserError('a tag needs a name');
  if (command.type === 'update') return yield () => planUpdate(db, dataset, command);
  if (command.type === 'insert') return yield () => planInsert(db, dataset, command);
  const ids = idsOf(workbench, dataset, command.rows);
  const drawn = command.type === 'split-randomly' ? drawSplits(ids.length, command) : null;
  for (let at = 0; at < ids.length; at += TOGETHER) {
    const some = Array.from(ids.slice(at, at + TOGETHER));
    yield () => planForRows(db, dataset, command, some, (i) => drawn!(at + i));
  }
}

type BulkCommand = Extract<EditCommand, { rows: RowSet }>;

function planForRows(db: Database, dataset: Dataset, command: BulkCommand, asked: number[], drawn: (i: number) => Split): Effect[] {
  const rows = new Map(listExampleHeads(db, dataset.id, asked).map((row) => [row.id, row]));
  const ids = asked.filter((id) => rows.has(id));
  const effect = <E extends Effect>(each: E): Effect[] => (each.ids.length > 0 ? [each] : []);
  switch (command.type) {
    case 'delete':
      return effect({ type: 'existence', ids, to: false });
    case 'duplicate': {
      const copies = insertCopies(db, dataset.id, ids);
      copyTags(db, ids.map((id, i) => [id, copies[i]]));
      return effect({ type: 'existence', ids: copies, to: true });
    }
    case 'tag': {
      const { on } = command;
      const tag = command.tag.trim();
      const tagged = new Set(listTagsOfRows(db, ids).filter((row) => row.tag === tag).map(({ rowId }) => rowId));
      return effect({ type: 'tag', ids: ids.filter((id) => tagged.has(id) !== on), tag, to: on });
    }
    case 'swap':
      return effect({ type: 'swap', ids: ids.filter((id) => ['preference', 'unpaired'].includes(rows.get(id)!.kind)) });
    case 'split':
    case 'split-randomly': {
      const splits = new Map(listDatasetFiles(db, dataset.id).map((file) => [file.id, file.split]));
      const moves = new Map<string, Extract<Effect, { type: 'split' }>>();
      asked.forEach((id, i) => {
        const row = rows.get(id);
        const [from, to] = [row && splits.get(row.fileId), command.type === 'split' ? command.split : drawn(i)];
        if (from === undefined || from === to) return;
        const move = moves.get(`${from} ${to}`) ?? { type: 'split', ids: [], from, to };
        move.ids.push(id);
        moves.set(`${from} ${to}`, move);
      });
      return [...moves.values()];
    }
  }
}

function planUpdate(db: Database, dataset: Dataset, { id, example }: Extract<EditCommand, { type: 'update' }>): Effect[] {
  const [row] = listExamples(db, dataset.id, [id]);
  if (!row) return [];
  if (datasetKindOf(row.kind) !== datasetKindOf(example.kind)) throw new UserError(wrongKind(dataset, example));
  return [{ type: 'body', ids: [id], from: row.body, to: JSON.stringify(example) }];
}

/** False where the last edit is not one that this update can go on with: then it is an edit of its own. */
function goOnTyping(db: Database, dataset: Dataset, command: Extract<EditCommand, { type: 'update' }>): boolean {
  const goOn = db.transaction(() => {
    const [effect] = planUpdate(db, dataset, command);
    return effect?.type === 'body' && extendUpdate(db, dataset.id, command.id, effect.to, OWNER);
  });
  return goOn.immediate();
}

/** A cell was opened and left: that is no edit. */
function isAsItWas(db: Database, dataset: Dataset, { id, example }: Extract<EditCommand, { type: 'update' }>): boolean {
  return listExamples(db, dataset.id, [id])[0]?.body === JSON.stringify(example);
}

function planInsert(db: Database, dataset: Dataset, { after, split, example }: Extract<EditCommand, { type: 'insert' }>): Effect[] {
  if (kindOf(dataset) !== datasetKindOf(example.kind)) throw new UserError(wrongKind(dataset, example));
  const { id: fileId } = ensureDatasetFile(db, dataset.id, split, OWNER);
  const place = after !== null && listExampleHeads(db, dataset.id, [after]).length > 0 ? after : null;
  const position = findRoom(db, dataset.id)(place);
  const id = insertDraft(db, { fileId, position, kind: example.kind, body: JSON.stringify(example) });
  return [{ type: 'existence', ids: [id], to: true }];
}

function wrongKind(dataset: Dataset, { kind }: Example): string {
  const held: Record<DatasetKind, string> = {
    examples: 'texts and answers', preferences: 'preference pairs', unpaired: 'answers marked good or bad', rankings: 'rankings', labels: 'labelled texts',
  };
  return `${dataset.name} holds ${held[kindOf(dataset)]}: a row of kind ${kind} does not go there`;
}

/** What a dataset is edited as: what all its rows are, or would be if there were any; examples where they are mixed. */
export function kindOf({ files }: Dataset): DatasetKind {
  const rows = files.flatMap((file) => Object.keys(file.kinds) as Example['kind'][]);
  const kinds = new Set(rows.length > 0 ? rows.map(datasetKindOf) : files.map(({ format }) => EDITED_AS[format as DatasetFormat] ?? 'examples'));
  const [kind] = kinds;
  return kinds.size === 1 ? kind : 'examples';
}

/** Of a file without rows yet. */
const EDITED_AS: Partial<Record<DatasetFormat, DatasetKind>> = {
  preference: 'preferences', 'hh-rlhf': 'preferences', unpaired: 'unpaired', ranking: 'rankings', classification: 'labels',
};

type Ids = ArrayLike<number> & { slice(from: number, to: number): Iterable<number> };

function idsOf({ datasets }: Desk, dataset: Dataset, rows: RowSet): Ids {
  if ('ids' in rows) return [...new Set(rows.ids)];
  const view = datasets.view(rows.view);
  if (view.datasetId !== dataset.id) throw new UserError(`view ${rows.view} is of another dataset: open one of ${dataset.name}`);
  return view.ids;
}

/** Exact shares: of n rows round(n · validation) and round(n · test) are drawn, by a shuffle of mulberry32. */
function drawSplits(count: number, { validation, test, seed }: { validation: number; test: number; seed: number }): (i: number) => Split {
  if (validation + test > 1) throw new UserError('the shares of validation and test together are more than all rows');
  const order = Int32Array.from({ length: count }, (_, i) => i);
  const random = mulberry32(seed);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  const drawn = new Uint8Array(count); // of Split.options
  const held = Math.round(count * validation);
  for (const i of order.subarray(0, held)) drawn[i] = 1;
  for (const i of order.subarray(held, held + Math.round(count * test))) drawn[i] = 2;
  return (i) => Split.options[drawn[i]];
}

function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
