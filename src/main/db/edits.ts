/**
 * Tables `edits` and `edit_effects`: what the editor did to a dataset, and how to take it back. An edit is a list of effects, each of which
 * can be applied and reverted; those of one edit are about different rows. A big one is worked off effect by effect, each in a transaction
 * of its own with its mark, so that nobody waits for the database and whoever finds it half done can take it back (rollBackEdit).
 */
import type { Split } from '../../shared/dataset.ts';
import type { Database } from './database.ts';
import { countEdit, ensureDatasetFile } from './datasets.ts';
import { moveExamples, purgeDeletedExamples, setBody, setDeleted, swapPairs } from './examples.ts';
import { setTag } from './tags.ts';

/** What one effect does when applied; reverting does the opposite. */
export type Effect =
  | { type: 'body'; ids: number[]; from: string; to: string }
  | { type: 'existence'; ids: number[]; to: boolean }
  | { type: 'tag'; ids: number[]; tag: string; to: boolean }
  | { type: 'split'; ids: number[]; from: Split; to: Split }
  | { type: 'swap'; ids: number[] };

/** applying, undoing and redoing are on their way; found with a dead owner they are rolled back. What is forgotten is yet to be cleared away. */
export type EditState = 'applying' | 'done' | 'undoing' | 'undone' | 'redoing' | 'forgotten';
export type EditRow = { id: number; datasetId: number; type: string; rows: number; state: EditState; owner: string };

const COLUMNS = 'id, dataset_id as datasetId, type, rows, state, owner';

export function insertEdit(db: Database, { datasetId, type, owner }: Pick<EditRow, 'datasetId' | 'type' | 'owner'>): number {
  const sql = `insert into edits (dataset_id, type, state, owner, created_at) values (?, ?, 'applying', ?, ?)`;
  return Number(db.prepare(sql).run(datasetId, type, owner, new Date().toISOString()).lastInsertRowid);
}

/** Sets the state; an edit that stands counts for its dataset, tags left aside. */
export function setEditState(db: Database, edit: Pick<EditRow, 'id' | 'datasetId' | 'type'>, state: EditState, owner: string): void {
  const before = db.prepare('select state from edits where id = ?').pluck().get(edit.id) as EditState;
  db.prepare('update edits set state = ?, owner = ? where id = ?').run(state, owner, edit.id);
  if (edit.type === 'tag') return;
  if (state === 'done' && (before === 'applying' || before === 'redoing')) countEdit(db, edit.datasetId, 1);
  if (state === 'undone' && before === 'undoing') countEdit(db, edit.datasetId, -1);
}

/** The edit that undo, or redo, is about next. Those undone are always newer than those done. */
export function nextEdit(db: Database, datasetId: number, what: 'undo' | 'redo'): EditRow | undefined {
  const [state, order] = what === 'undo' ? ['done', 'desc'] : ['undone', 'asc'];
  const sql = `select ${COLUMNS} from edits where dataset_id = ? and state = ? order by id ${order} limit 1`;
  return db.prepare(sql).get(datasetId, state) as EditRow | undefined;
}

/** On their way, of one dataset or of all. */
export function listUnfinishedEdits(db: Database, datasetId?: number): EditRow[] {
  const sql = `select ${COLUMNS} from edits where state in ('applying', 'undoing', 'redoing')`;
  return (datasetId === undefined ? db.prepare(sql).all() : db.prepare(`${sql} and dataset_id = ?`).all(datasetId)) as EditRow[];
}

/** From now on no undo or redo reaches all that was undone, nor all but the newest `keep` that stand. */
export function forgetEdits(db: Database, datasetId: number, what: 'undone' | { keep: number }): void {
  const sql = `update edits set state = 'forgotten'
               where id in (select id from edits where dataset_id = ? and state = ? order by id desc limit -1 offset ?)`;
  db.prepare(sql).run(datasetId, what === 'undone' ? 'undone' : 'done', what === 'undone' ? 0 : what.keep);
}

/** Clears one effect of a forgotten edit away, and for good the rows it left deleted. False when there is none. */
export function clearForgotten(db: Database, datasetId: number): boolean {
  const id = db.prepare(`select id from edits where dataset_id = ? and state = 'forgotten' limit 1`).pluck().get(datasetId) as number | undefined;
  if (id === undefined) return false;
  const found = db.prepare('select seq, effect from edit_effects where edit_id = ? order by seq limit 1').get(id) as { seq: number; effect: string } | undefined;
  if (found) {
    const effect = decode(found.effect);
    if (effect.type === 'existence') purgeDeletedExamples(db, effect.ids);
    db.prepare('delete from edit_effects where edit_id = ? and seq = ?').run(id, found.seq);
  } else db.prepare('delete from edits where id = ?').run(id);
  return true;
}

/** Writes an effect down and does it. */
export function addEffect(db: Database, editId: number, effect: Effect): void {
  const seq = db.prepare('select coalesce(max(seq), 0) + 1 from edit_effects where edit_id = ?').pluck().get(editId) as number;
  db.prepare('insert into edit_effects (edit_id, seq, effect, applied) values (?, ?, ?, 1)').run(editId, seq, encode(effect));
  db.prepare('update edits set rows = rows + ? where id = ?').run(effect.ids.length, editId);
  apply(db, editId, effect, true);
}

/**
 * Somebody goes on typing: where the last edit is an update of this row, it becomes one to the new body, so that one undo takes all of the typing
 * back; where the row is then as before, the edit is gone. False, and nothing done, where the last edit is another or something can be redone.
 */
export function extendUpdate(db: Database, datasetId: number, rowId: number, body: string, owner: string): boolean {
  const edit = nextEdit(db, datasetId, 'undo');
  if (edit?.type !== 'update' || nextEdit(db, datasetId, 'redo')) return false;
  const { seq, effect: text } = db.prepare('select seq, effect from edit_effects where edit_id = ?').get(edit.id) as { seq: number; effect: string };
  const effect = decode(text);
  if (effect.type !== 'body' || effect.ids[0] !== rowId) return false;
  if (effect.from === body) {
    setEditState(db, edit, 'undoing', owner);
    turnEffect(db, edit.id, false);
    setEditState(db, edit, 'undone', owner);
    forgetEdits(db, datasetId, 'undone');
    return true;
  }
  setBody(db, rowId, body, 0);
  db.prepare('insert or ignore into unindexed_rows (dataset_id, row_id) values (?, ?)').run(datasetId, rowId);
  db.prepare('update edit_effects set effect = ? where edit_id = ? and seq = ?').run(encode({ ...effect, to: body }), edit.id, seq);
  return true;
}

/** Does, or takes back, the next effect for which that is left to do; null when there is none. */
export function turnEffect(db: Database, editId: number, applied: boolean): Effect | null {
  const sql = `select seq, effect from edit_effects where edit_id = ? and applied = ? order by seq ${applied ? 'asc' : 'desc'} limit 1`;
  const found = db.prepare(sql).get(editId, applied ? 0 : 1) as { seq: number; effect: string } | undefined;
  if (!found) return null;
  const effect = decode(found.effect);
  apply(db, editId, effect, applied);
  db.prepare('update edit_effects set applied = ? where edit_id = ? and seq = ?').run(applied ? 1 : 0, editId, found.seq);
  return effect;
}

/** An edit that was broken off becomes what it was before: one being applied goes, an undo or redo has not been. */
export function rollBackEdit(db: Database, edit: EditRow): void {
  const roll = db.transaction(() => {
    const applied = edit.state === 'undoing';
    while (turnEffect(db, edit.id, applied));
    const state = edit.state === 'applying' ? 'forgotten' : applied ? 'done' : 'undone';
    db.prepare('update edits set state = ? where id = ?').run(state, edit.id);
  });
  roll.immediate();
}

function apply(db: Database, editId: number, effect: Effect, forwards: boolean): void {
  const { datasetId, owner } = db.prepare('select dataset_id as datasetId, owner from edits where id = ?').get(editId) as EditRow;
  const { ids } = effect;
  switch (effect.type) {
    case 'body':
      setBody(db, ids[0], forwards ? effect.to : effect.from, forwards ? 1 : -1);
      db.prepare('insert or ignore into unindexed_rows (dataset_id, row_id) values (?, ?)').run(datasetId, ids[0]);
      return;
    case 'existence':
      return setDeleted(db, ids, effect.to === forwards ? 0 : 1);
    case 'tag':
      return setTag(db, datasetId, ids, effect.tag, effect.to === forwards);
    case 'split':
      return moveExamples(db, ids, ensureDatasetFile(db, datasetId, forwards ? effect.to : effect.from, owner).id);
    case 'swap':
      return swapPairs(db, ids, forwards ? 1 : -1);
  }
}

/** Ids stand as runs, [first, how many, first, how many, …]: a million rows in a row are two numbers. */
function encode({ ids, ...effect }: Effect): string {
  const runs: number[] = [];
  for (const id of ids) {
    if (runs.length > 0 && id === runs[runs.length - 2] + runs[runs.length - 1]) runs[runs.length - 1]++;
    else runs.push(id, 1);
  }
  return JSON.stringify({ ...effect, runs });
}

function decode(text: string): Effect {
  const { runs, ...effect } = JSON.parse(text) as Omit<Effect, 'ids'> & { runs: number[] };
  const ids: number[] = [];
  for (let i = 0; i < runs.length; i += 2) for (let k = 0; k < runs[i + 1]; k++) ids.push(runs[i] + k);
  return { ...effect, ids } as Effect;
}
