/** Table `judgings`: of a dataset whose pairs a model labelled, how that was done and what the judge is worth. */
import type { Judging } from '../../shared/judging.ts';
import type { Database } from './database.ts';

export function getJudging(db: Database, datasetId: number): Judging | null {
  const body = db.prepare('select body from judgings where dataset_id = ?').pluck().get(datasetId) as string | undefined;
  return body === undefined ? null : (JSON.parse(body) as Judging);
}

export function insertJudging(db: Database, datasetId: number, judging: Judging): void {
  db.prepare('insert into judgings (dataset_id, body) values (?, ?)').run(datasetId, JSON.stringify(judging));
}
