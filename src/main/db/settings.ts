/** Table `settings`: small things remembered by key, as JSON. What a value may be is the reader's to check. */
import type { Database } from './database.ts';

export function getSetting(db: Database, key: string): unknown {
  const row = db.prepare('select value from settings where key = ?').get(key) as { value: string } | undefined;
  return row && (JSON.parse(row.value) as unknown);
}

export function setSetting(db: Database, key: string, value: unknown): void {
  db.prepare('insert or replace into settings (key, value) values (?, ?)').run(key, JSON.stringify(value));
}
