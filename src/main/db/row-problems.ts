/** Table `row_problems`: what an import skipped or warned of, by line. Kept, so that it can be looked at after the import. */
import type { RowProblem, Split } from '../../shared/dataset.ts';
import type { Database } from './database.ts';

type Problem = Omit<RowProblem, 'file'>;

export function insertRowProblems(db: Database, fileId: number, problems: Problem[]): void {
  const insert = db.prepare('insert into row_problems (file_id, line, severity, reason) values (?, ?, ?, ?)');
  for (const { line, severity, reason } of problems) insert.run(fileId, line, severity, reason);
}

export function listRowProblems(db: Database, fileId: number, limit: number): Problem[] {
  return db.prepare('select line, severity, reason from row_problems where file_id = ? order by id limit ?').all(fileId, limit) as Problem[];
}

/** One page over all files of a dataset, in the order of splits and lines. */
export function listDatasetProblems(db: Database, datasetId: number, from: number, count: number): (RowProblem & { split: Split })[] {
  const sql = `select file, line, severity, reason, split from row_problems p join dataset_files f on f.id = p.file_id
               where dataset_id = ? and status = 'ready' order by split = 'test', split = 'validation', p.id limit ? offset ?`;
  return db.prepare(sql).all(datasetId, count, from) as (RowProblem & { split: Split })[];
}
