/** Table `examples`: instruction, conversation, completion and text rows; the body is the row as shared/dataset.ts has it, as JSON. Pairs are not here. */
import type { Example, PreferenceExample } from '../../shared/dataset.ts';
import type { Database } from './database.ts';

type Body = Exclude<Example, PreferenceExample>;

export function insertExamples(db: Database, fileId: number, rows: { line: number; example: Body }[]): void {
  const insert = db.prepare('insert into examples (file_id, line, kind, body) values (?, ?, ?, ?)');
  for (const { line, example } of rows) insert.run(fileId, line, example.kind, JSON.stringify(example));
}

/** One page of a file's rows in the order of the file, bodies as JSON text; `after` is the last id of the page before, 0 for the first. */
export function listExamplesAfter(db: Database, fileId: number, after: number, limit: number): { id: number; kind: Body['kind']; body: string }[] {
  const sql = 'select id, kind, body from examples where file_id = ? and id > ? order by id limit ?';
  return db.prepare(sql).all(fileId, after, limit) as { id: number; kind: Body['kind']; body: string }[];
}

export function countExamples(db: Database, fileId: number): { kind: string; count: number }[] {
  const sql = 'select kind, count(*) as count from examples where file_id = ? group by kind order by kind';
  return db.prepare(sql).all(fileId) as { kind: string; count: number }[];
}
