/**
 * Tables `scorings` and `row_scores`: what a model gave the rows of a dataset. The newest whole scoring counts; others are on their way, or left by
 * a process that died, and are purged with the next. A row that is changed loses its score (examples.ts).
 */
import type { Scoring } from '../../shared/scoring.ts';
import type { Database } from './database.ts';

/** The scoring that counts, and its id. */
export function getScoring(db: Database, datasetId: number): { id: number; scoring: Scoring } | null {
  const found = db.prepare('select id, body from scorings where dataset_id = ? and body is not null order by id desc limit 1').get(datasetId) as { id: number; body: string } | undefined;
  return found ? { id: found.id, scoring: JSON.parse(found.body) as Scoring } : null;
}

/** One to be filled; it counts from finishScoring on. */
export function insertScoring(db: Database, datasetId: number): number {
  return Number(db.prepare('insert into scorings (dataset_id) values (?)').run(datasetId).lastInsertRowid);
}

export function finishScoring(db: Database, id: number, scoring: Scoring): void {
  db.prepare('update scorings set body = ? where id = ?').run(JSON.stringify(scoring), id);
}

export function insertRowScores(db: Database, scoringId: number, scores: readonly { rowId: number; score: number }[]): void {
  const insert = db.prepare('insert into row_scores (row_id, scoring_id, score) select ?, ?, ? where exists (select 1 from examples where id = ?)');
  for (const { rowId, score } of scores) insert.run(rowId, scoringId, score, rowId);
}

/** Some rows of the dataset's scorings before `keep`, and at last these themselves; false when there is nothing left to purge. */
export function purgeScorings(db: Database, datasetId: number, keep: number, limit: number): boolean {
  const id = db.prepare('select id from scorings where dataset_id = ? and id < ? limit 1').pluck().get(datasetId, keep) as number | undefined;
  if (id === undefined) return false;
  const sql = 'delete from row_scores where scoring_id = @id and row_id in (select row_id from row_scores where scoring_id = @id limit @limit)';
  if (db.prepare(sql).run({ id, limit }).changes === 0) db.prepare('delete from scorings where id = ?').run(id);
  return true;
}

export function listScoresOfRows(db: Database, scoringId: number, ids: readonly number[]): { rowId: number; score: number }[] {
  const sql = 'select row_id as rowId, score from row_scores where scoring_id = ? and row_id in (select value from json_each(?))';
  return db.prepare(sql).all(scoringId, JSON.stringify(ids)) as { rowId: number; score: number }[];
}

/** Ids of rows that scored `min` or more and less than `max`, in no order; deleted ones too. */
export function listScoredIds(db: Database, scoringId: number, min: number, max: number): number[] {
  return db.prepare('select row_id from row_scores where scoring_id = ? and score >= ? and score < ?').pluck().all(scoringId, min, max) as number[];
}
