/**
 * Tables `tags` and `row_tags`: words a person put on rows. `tags.rows` counts rows that are not deleted; examples.ts keeps it when rows
 * go and come.
 */
import type { Database } from './database.ts';

export function listTags(db: Database, datasetId: number): { tag: string; rows: number }[] {
  return db.prepare('select tag, rows from tags where dataset_id = ? and rows > 0 order by tag').all(datasetId) as { tag: string; rows: number }[];
}

export function listTagsOfRows(db: Database, ids: readonly number[]): { rowId: number; tag: string }[] {
  const sql = `select row_id as rowId, tag from row_tags join tags on tags.id = tag_id
               where row_id in (select value from json_each(?)) order by row_id, tag`;
  return db.prepare(sql).all(JSON.stringify(ids)) as { rowId: number; tag: string }[];
}

/** Ids of rows with the tag, in no order; deleted ones too. */
export function listTaggedIds(db: Database, datasetId: number, tag: string): number[] {
  const sql = 'select row_id from row_tags where tag_id = (select id from tags where dataset_id = ? and tag = ?)';
  return db.prepare(sql).pluck().all(datasetId, tag) as number[];
}

/** Rows that are not deleted and do not have the tag get it; of rows that have it, it is taken. */
export function setTag(db: Database, datasetId: number, ids: readonly number[], tag: string, on: boolean): void {
  db.prepare('insert into tags (dataset_id, tag) values (?, ?) on conflict do nothing').run(datasetId, tag);
  const tagId = db.prepare('select id from tags where dataset_id = ? and tag = ?').pluck().get(datasetId, tag) as number;
  const sql = on
    ? 'insert or ignore into row_tags (tag_id, row_id) select ?, value from json_each(?)'
    : 'delete from row_tags where tag_id = ? and row_id in (select value from json_each(?))';
  const { changes } = db.prepare(sql).run(tagId, JSON.stringify(ids));
  db.prepare('update tags set rows = rows + ? where id = ?').run(on ? changes : -changes, tagId);
}

/** From each row to its copy, which is still deleted: the tags count when it comes in. */
export function copyTags(db: Database, pairs: readonly (readonly [from: number, to: number])[]): void {
  const sql = `insert into row_tags (row_id, tag_id) select pair.value ->> 1, tag_id from json_each(?) as pair join row_tags on row_id = pair.value ->> 0`;
  db.prepare(sql).run(JSON.stringify(pairs));
}
