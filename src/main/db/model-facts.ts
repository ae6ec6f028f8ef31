/**
 * Table `model_facts`: what the engine read off a model or adapter folder, as JSON, with a stamp of the files it was read from.
 * A cache: a row whose stamp is not the folder's any more is worth nothing.
 */
import type { FolderFacts } from '../../shared/job-results.ts';
import type { Database } from './database.ts';

export function getModelFacts(db: Database, folder: string, stamp: string): FolderFacts | null {
  const row = db.prepare('select facts from model_facts where folder = ? and stamp = ?').get(folder, stamp) as { facts: string } | undefined;
  return row ? (JSON.parse(row.facts) as FolderFacts) : null;
}

export function setModelFacts(db: Database, rows: { folder: string; stamp: string; facts: FolderFacts }[]): void {
  const set = db.prepare('insert or replace into model_facts (folder, stamp, facts) values (?, ?, ?)');
  db.transaction(() => {
    for (const { folder, stamp, facts } of rows) set.run(folder, stamp, JSON.stringify(facts));
  }).immediate();
}
