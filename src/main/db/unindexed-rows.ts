/** Table `unindexed_rows`: rows whose words changed since the search index last saw them (edits.ts writes them down). */
import type { Database } from './database.ts';

export function listUnindexedRows(db: Database, datasetId: number): number[] {
  return db.prepare('select row_id from unindexed_rows where dataset_id = ?').pluck().all(datasetId) as number[];
}

/** Strikes off what `index` took in; no row can change in between. */
export function settleUnindexedRows(db: Database, datasetId: number, index: (ids: number[]) => void): void {
  if (listUnindexedRows(db, datasetId).length === 0) return;
  db.transaction(() => {
    index(listUnindexedRows(db, datasetId));
    db.prepare('delete from unindexed_rows where dataset_id = ?').run(datasetId);
  }).immediate();
}
