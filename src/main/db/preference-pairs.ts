/** Table `preference_pairs`: one prompt and two answers a row. The prompt is JSON: a string, or messages. */
import type { PreferenceExample } from '../../shared/dataset.ts';
import type { Database } from './database.ts';

export function insertPreferencePairs(db: Database, fileId: number, rows: { line: number; example: PreferenceExample }[]): void {
  const insert = db.prepare('insert into preference_pairs (file_id, line, prompt, chosen, rejected) values (?, ?, ?, ?, ?)');
  for (const { line, example } of rows) insert.run(fileId, line, JSON.stringify(example.prompt), example.chosen, example.rejected);
}

/** One page of a file's pairs in the order of the file; `after` is the last id of the page before, 0 for the first. */
export function listPreferencePairsAfter(
  db: Database,
  fileId: number,
  after: number,
  limit: number,
): { id: number; line: number; example: PreferenceExample }[] {
  const sql = 'select id, line, prompt, chosen, rejected from preference_pairs where file_id = ? and id > ? order by id limit ?';
  const rows = db.prepare(sql).all(fileId, after, limit) as { id: number; line: number; prompt: string; chosen: string; rejected: string }[];
  return rows.map(({ id, line, prompt, chosen, rejected }) => ({
    id,
    line,
    example: { kind: 'preference', prompt: JSON.parse(prompt) as PreferenceExample['prompt'], chosen, rejected },
  }));
}

export function countPreferencePairs(db: Database, fileId: number): number {
  return (db.prepare('select count(*) as count from preference_pairs where file_id = ?').get(fileId) as { count: number }).count;
}
