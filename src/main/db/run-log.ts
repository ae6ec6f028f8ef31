/** Table `run_log`: what happened to a run and what its engine remarked, with the time. For people; nothing is decided by it. */
import type { Database } from './database.ts';

export type LogRow = { id: number; at: string; text: string };

export function insertLog(db: Database, runId: number, text: string): void {
  db.prepare('insert into run_log (run_id, at, text) values (?, ?, ?)').run(runId, new Date().toISOString(), text);
}

/** The last `limit` lines, oldest first. */
export function listLogTail(db: Database, runId: number, limit: number): LogRow[] {
  return (db.prepare('select id, at, text from run_log where run_id = ? order by id desc limit ?').all(runId, limit) as LogRow[]).reverse();
}

/** Lines written after the one with this id. */
export function listLogAfter(db: Database, runId: number, after: number): LogRow[] {
  return db.prepare('select id, at, text from run_log where run_id = ? and id > ? order by id').all(runId, after) as LogRow[];
}
