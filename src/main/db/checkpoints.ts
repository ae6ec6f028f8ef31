/**
 * Table `checkpoints`: where a run's checkpoints lie, with their hash. The engine writes and prunes the folders;
 * a pruned one keeps its row, because what was trained from it still descends from it.
 */
import type { CheckpointEvent } from '../../shared/job.ts';
import type { Database } from './database.ts';

export type CheckpointRow = { id: number; runId: number; step: number; path: string; sha256: string; best: boolean; bytes: number; createdAt: string };

const COLUMNS = 'id, run_id as runId, step, path, sha256, best, bytes, created_at as createdAt';
type Stored = Omit<CheckpointRow, 'best'> & { best: number };
const parse = (row: Stored): CheckpointRow => ({ ...row, best: row.best === 1 });

/** Those the engine has not pruned, in order of steps. */
export function listCheckpoints(db: Database, runId: number): CheckpointRow[] {
  return (db.prepare(`select ${COLUMNS} from checkpoints where run_id = ? and kept = 1 order by step`).all(runId) as Stored[]).map(parse);
}

/** Also a pruned one. */
export function getCheckpoint(db: Database, id: number): CheckpointRow | undefined {
  const row = db.prepare(`select ${COLUMNS} from checkpoints where id = ?`).get(id) as Stored | undefined;
  return row && parse(row);
}

/** A step written again keeps its row (and what descends from it); a new best takes the mark from the old one. */
export function insertCheckpoint(db: Database, runId: number, { step, path, sha256, best, bytes = 0 }: Omit<CheckpointEvent, 'type'> & { bytes?: number }): void {
  const insert = db.transaction(() => {
    if (best) db.prepare('update checkpoints set best = 0 where run_id = ?').run(runId);
    db.prepare(
      `insert into checkpoints (run_id, step, path, sha256, best, bytes, created_at) values (?, ?, ?, ?, ?, ?, ?)
       on conflict (run_id, step) do update set path = excluded.path, sha256 = excluded.sha256, best = excluded.best, bytes = excluded.bytes, kept = 1`,
    ).run(runId, step, path, sha256, best ? 1 : 0, bytes, new Date().toISOString());
  });
  insert.immediate();
}

/** The engine deleted its folder. */
export function markPruned(db: Database, id: number): void {
  db.prepare('update checkpoints set kept = 0 where id = ?').run(id);
}

/** Sizes of checkpoints written before sizes were kept. */
export function setCheckpointBytes(db: Database, id: number, bytes: number): void {
  db.prepare('update checkpoints set bytes = ? where id = ?').run(bytes, id);
}
