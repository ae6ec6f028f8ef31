/**
 * Tables `examples` and `row_counts`: every row of every dataset, its body as shared/dataset.ts has it, as JSON. Rows of one dataset are
 * ordered by `position`, over all its splits; deleted rows stay until purged. The functions here keep the counts right.
 */
import type { Example } from '../../shared/dataset.ts';
import type { Database } from './database.ts';

export type ExampleRow = {
  id: number;
  fileId: number;
  position: number;
  /** In the file it came from; null for one made in the editor. */
  line: number | null;
  edits: number;
  deleted: 0 | 1;
  kind: Example['kind'];
  body: string;
};

const COLUMNS = 'id, file_id as fileId, position, line, edits, deleted, kind, body';
/** Lists of ids go to SQLite as one JSON text. */
const IN_IDS = 'in (select value from json_each(@ids))';

/** After all rows of the dataset, in the order given. */
export function insertExamples(db: Database, fileId: number, rows: { line: number; example: Example }[]): void {
  const insert = db.prepare('insert into examples (file_id, position, line, kind, body) values (?, ?, ?, ?, ?)');
  let position = lastPosition(db, fileId);
  const counts = new Map<string, number>();
  for (const { line, example } of rows) {
    insert.run(fileId, ++position, line, example.kind, JSON.stringify(example));
    counts.set(example.kind, (counts.get(example.kind) ?? 0) + 1);
  }
  for (const [kind, count] of counts) addToCount(db, fileId, kind, count);
}

/** A row made in the editor; it begins deleted, and counts from the moment an effect (edits.ts) brings it in. */
export function insertDraft(db: Database, row: Pick<ExampleRow, 'fileId' | 'position' | 'kind' | 'body'>): number {
  const sql = 'insert into examples (file_id, position, line, edits, deleted, kind, body) values (@fileId, @position, null, 1, 1, @kind, @body)';
  return Number(db.prepare(sql).run(row).lastInsertRowid);
}

/** Those of the ids that are rows of the dataset and not deleted, in no order. */
export function listExamples(db: Database, datasetId: number, ids: readonly number[]): ExampleRow[] {
  const sql = `select ${COLUMNS} from examples
               where id ${IN_IDS} and deleted = 0 and file_id in (select id from dataset_files where dataset_id = @datasetId)`;
  return db.prepare(sql).all({ ids: JSON.stringify(ids), datasetId }) as ExampleRow[];
}

/** As listExamples, without the bodies. */
export function listExampleHeads(db: Database, datasetId: number, ids: readonly number[]): Omit<ExampleRow, 'body'>[] {
  const sql = `select id, file_id as fileId, position, line, edits, deleted, kind from examples
               where id ${IN_IDS} and deleted = 0 and file_id in (select id from dataset_files where dataset_id = @datasetId)`;
  return db.prepare(sql).all({ ids: JSON.stringify(ids), datasetId }) as Omit<ExampleRow, 'body'>[];
}

/** One page of a file's rows in order, bodies as JSON text; `after` is the last position of the page before, 0 for the first. */
export function listExamplesAfter(db: Database, fileId: number, after: number, limit: number): Pick<ExampleRow, 'position' | 'kind' | 'body'>[] {
  const sql = 'select position, kind, body from examples where file_id = ? and deleted = 0 and position > ? order by position limit ?';
  return db.prepare(sql).all(fileId, after, limit) as Pick<ExampleRow, 'position' | 'kind' | 'body'>[];
}

/** Every id of a file that is not deleted, in order. */
export function listExampleIds(db: Database, fileId: number): number[] {
  return db.prepare('select id from examples where file_id = ? and deleted = 0 order by position').pluck().all(fileId) as number[];
}

/** Ids of a file's rows that were changed or made in the editor. */
export function listEditedIds(db: Database, fileId: number): number[] {
  return db.prepare('select id from examples where file_id = ? and edits > 0').pluck().all(fileId) as number[];
}

/** Ids of a file above an id, deleted rows too, ascending. The plus keeps SQLite to the small index. */
export function listExampleIdsAbove(db: Database, fileId: number, id: number): number[] {
  const ids = db.prepare('select id from examples where file_id = ? and +id > ?').pluck().all(fileId, id) as number[];
  return ids.sort((a, b) => a - b);
}

/** The first row that an import of the dataset has written so far and that does not count yet; null when none is under way. */
export function firstImportingId(db: Database, datasetId: number): number | null {
  const sql = `select min(id) from examples where file_id in (select id from dataset_files where dataset_id = ? and status = 'importing')`;
  return db.prepare(sql).pluck().get(datasetId) as number | null;
}

/** Bodies of rows, deleted ones too, in no order. */
export function listBodies(db: Database, ids: readonly number[]): { id: number; body: string }[] {
  return db.prepare(`select id, body from examples where id ${IN_IDS}`).all({ ids: JSON.stringify(ids) }) as { id: number; body: string }[];
}

/** Those of the ids that are rows of the file and not deleted, with what orders them. */
export function listPositions(db: Database, fileId: number, ids: readonly number[]): { id: number; position: number }[] {
  const sql = `select id, position from examples where id ${IN_IDS} and file_id = @fileId and deleted = 0`;
  return db.prepare(sql).all({ ids: JSON.stringify(ids), fileId }) as { id: number; position: number }[];
}

export function countExamples(db: Database, fileId: number): { kind: Example['kind']; count: number }[] {
  const sql = 'select kind, rows as count from row_counts where file_id = ? and rows > 0 order by kind';
  return db.prepare(sql).all(fileId) as { kind: Example['kind']; count: number }[];
}

/** Rows of a file, deleted ones too, gone for good; at most `limit`, and how many it were. */
export function purgeExamplesOfFile(db: Database, fileId: number, limit: number): number {
  return db.prepare('delete from examples where id in (select id from examples where file_id = ? limit ?)').run(fileId, limit).changes;
}

/** Those of the ids that are deleted, gone for good. */
export function purgeDeletedExamples(db: Database, ids: readonly number[]): void {
  db.prepare(`delete from examples where id ${IN_IDS} and deleted = 1`).run({ ids: JSON.stringify(ids) });
}

export function hasExamples(db: Database, fileId: number): boolean {
  return db.prepare('select 1 from examples where file_id = ? limit 1').get(fileId) !== undefined;
}

export function setBody(db: Database, id: number, body: string, edits: 1 | -1 | 0): void {
  const old = db.prepare('select file_id as fileId, kind, deleted from examples where id = ?').get(id) as Pick<ExampleRow, 'fileId' | 'kind' | 'deleted'>;
  const { kind } = JSON.parse(body) as Example;
  db.prepare('update examples set body = ?, kind = ?, edits = edits + ? where id = ?').run(body, kind, edits, id);
  db.prepare('delete from row_scores where row_id = ?').run(id);
  if (old.kind === kind || old.deleted) return;
  addToCount(db, old.fileId, old.kind, -1);
  addToCount(db, old.fileId, kind, 1);
}

export function setDeleted(db: Database, ids: readonly number[], deleted: 0 | 1): void {
  const all = { ids: JSON.stringify(ids) };
  db.prepare(`update examples set deleted = ${deleted} where id ${IN_IDS}`).run(all);
  for (const { fileId, kind, count } of countByKind(db, ids)) addToCount(db, fileId, kind, deleted ? -count : count);
  const sign = deleted ? '-' : '+';
  db.prepare(
    `update tags set rows = rows ${sign} found.count
     from (select tag_id, count(*) as count from row_tags where row_id ${IN_IDS} group by tag_id) as found where found.tag_id = tags.id`,
  ).run(all);
}

/** Rows that all are in one file, none of them deleted, into another file of the dataset. */
export function moveExamples(db: Database, ids: readonly number[], fileId: number): void {
  for (const { fileId: from, kind, count } of countByKind(db, ids)) {
    addToCount(db, from, kind, -count);
    addToCount(db, fileId, kind, count);
  }
  db.prepare(`update examples set file_id = @fileId where id ${IN_IDS}`).run({ ids: JSON.stringify(ids), fileId });
}

/** chosen ↔ rejected; of a labelled answer, good ↔ bad. */
export function swapPairs(db: Database, ids: readonly number[], edits: 1 | -1): void {
  const body = `json_remove(json_set(body, '$.chosen', body -> 'rejected', '$.rejected', body -> 'chosen'), '$.margin', '$.source')`;
  db.prepare(`update examples set body = ${body}, edits = edits + ${edits} where id ${IN_IDS} and kind = 'preference'`).run({ ids: JSON.stringify(ids) });
  const flipped = `json_set(body, '$.label', json(iif(body ->> 'label', 'false', 'true')))`;
  db.prepare(`update examples set body = ${flipped}, edits = edits + ${edits} where id ${IN_IDS} and kind = 'unpaired'`).run({ ids: JSON.stringify(ids) });
  db.prepare(`delete from row_scores where row_id ${IN_IDS}`).run({ ids: JSON.stringify(ids) });
}

/** Copies of rows, each to stand right after its row; they begin deleted, as drafts do. Their ids, in the order of `ids`. */
export function insertCopies(db: Database, datasetId: number, ids: readonly number[]): number[] {
  const roomAfter = findRoom(db, datasetId);
  const copy = db.prepare(
    `insert into examples (file_id, position, line, edits, deleted, kind, body)
     select file_id, ?, null, 1, 1, kind, body from examples where id = ?`,
  );
  return ids.map((id) => Number(copy.run(roomAfter(id), id).lastInsertRowid));
}

/** Gives a position between a row and the next of its dataset; rows around are spread where there is none. `id` null: after all. */
export function findRoom(db: Database, datasetId: number): (id: number | null) => number {
  const files = db.prepare('select id from dataset_files where dataset_id = ?').pluck().all(datasetId) as number[];
  const at = db.prepare('select position from examples where id = ?').pluck();
  const firstAfter = (deleted: 0 | 1) =>
    files.map((file) => `select min(position) as p from examples where file_id = ${file} and deleted = ${deleted} and position > @position`);
  const nextTo = db.prepare(`select min(p) from (${[...firstAfter(0), ...firstAfter(1)].join(' union all ')})`).pluck();
  const neighbours = neighboursOf(db, files);
  return (id) => {
    if (id === null) return Math.floor(lastPosition(db, files[0])) + 1;
    for (let width = 100; ; width *= 4) {
      const position = at.get(id) as number;
      const next = nextTo.get({ position }) as number | null;
      if (next === null) return Math.floor(position) + 1;
      const middle = position + (next - position) / 2;
      if (middle > position && middle < next) return middle;
      spread(db, neighbours, position, width);
    }
  };
}

type Neighbours = (position: number, side: 'before' | 'after', count: number) => { id: number; position: number }[];

/** Doubles end: after some fifty rows put into the same place there is no number between two. Order stays, numbers change. */
function spread(db: Database, neighbours: Neighbours, around: number, width: number): void {
  const rows = [...neighbours(around, 'before', width).reverse(), ...neighbours(around, 'after', width)];
  // the outermost two stay; where the dataset begins or ends there is all room below or above
  const start = neighbours(rows[0].position, 'before', 2).length > 1 ? rows.shift()!.position : 0;
  const end = neighbours(rows[rows.length - 1].position, 'after', 1).length > 0 ? rows.pop()!.position : start + 2 * (rows.length + 1);
  const step = (end - start) / (rows.length + 1);
  const move = db.prepare('update examples set position = ? where id = ?');
  rows.forEach((row, i) => move.run(start + (i + 1) * step, row.id));
}

/** Rows of any split, deleted ones too, nearest first; `before` takes in the position itself. */
function neighboursOf(db: Database, files: number[]): Neighbours {
  const page = (compare: string, order: string) =>
    db.prepare(`select id, position from examples where file_id = ? and deleted = ? and position ${compare} ? order by position ${order} limit ?`);
  const pages = { before: page('<=', 'desc'), after: page('>', 'asc') };
  return (position, side, count) => {
    const found = files.flatMap((file) =>
      [0, 1].flatMap((deleted) => pages[side].all(file, deleted, position, count) as { id: number; position: number }[]),
    );
    return found.sort((a, b) => (side === 'after' ? a.position - b.position : b.position - a.position)).slice(0, count);
  };
}

/** Of the dataset that the file belongs to; 0 when it has no row. */
function lastPosition(db: Database, fileId: number): number {
  const last = (deleted: 0 | 1) => `coalesce((select max(position) from examples where file_id = f.id and deleted = ${deleted}), 0)`;
  const sql = `select max(max(${last(0)}, ${last(1)})) from dataset_files f where dataset_id = (select dataset_id from dataset_files where id = ?)`;
  return db.prepare(sql).pluck().get(fileId) as number;
}

function countByKind(db: Database, ids: readonly number[]): { fileId: number; kind: string; count: number }[] {
  const sql = `select file_id as fileId, kind, count(*) as count from examples where id ${IN_IDS} group by file_id, kind`;
  return db.prepare(sql).all({ ids: JSON.stringify(ids) }) as { fileId: number; kind: string; count: number }[];
}

function addToCount(db: Database, fileId: number, kind: string, count: number): void {
  const sql = `insert into row_counts (file_id, kind, rows) values (?, ?, ?) on conflict do update set rows = rows + excluded.rows`;
  db.prepare(sql).run(fileId, kind, count);
}

/** The first and the last position of a file's rows that are not deleted; null where there is none. */
export function getPositionRange(db: Database, fileId: number): { first: number; last: number } | null {
  const sql = `select (select position from examples where file_id = @fileId and deleted = 0 order by position limit 1) as first,
               (select position from examples where file_id = @fileId and deleted = 0 order by position desc limit 1) as last`;
  const range = db.prepare(sql).get({ fileId }) as { first: number | null; last: number | null };
  return range.first === null || range.last === null ? null : { first: range.first, last: range.last };
}
