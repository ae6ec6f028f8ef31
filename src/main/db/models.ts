/** Table `models`: model folders somebody added by name. Embedded models and results of runs are not rows here (main/models joins them). */
import type { Database } from './database.ts';

export type ModelRow = { id: number; name: string; folder: string; adapter: string | null; createdAt: string };

const COLUMNS = 'id, name, folder, adapter, created_at as createdAt';

export function listModels(db: Database): ModelRow[] {
  return db.prepare(`select ${COLUMNS} from models order by name`).all() as ModelRow[];
}

export function getModelByName(db: Database, name: string): ModelRow | undefined {
  return db.prepare(`select ${COLUMNS} from models where name = ?`).get(name) as ModelRow | undefined;
}

export function insertModel(db: Database, { name, folder, adapter }: Pick<ModelRow, 'name' | 'folder' | 'adapter'>): void {
  db.prepare('insert into models (name, folder, adapter, created_at) values (?, ?, ?, ?)').run(name, folder, adapter, new Date().toISOString());
}

/** The files stay where they are. */
export function deleteModel(db: Database, name: string): boolean {
  return db.prepare('delete from models where name = ?').run(name).changes > 0;
}
