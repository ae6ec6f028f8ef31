/** Table `sampling_presets`: settings kept by a name for a model. They outlive the model, whose name may come back. */
import { Sampling } from '../../shared/sampling.ts';
import type { Database } from './database.ts';

export type PresetRow = { model: string; name: string; sampling: Sampling };

/** Of these models, by name. */
export function listPresets(db: Database, models: string[]): PresetRow[] {
  const sql = 'select model, name, sampling from sampling_presets where model in (select value from json_each(?)) order by name, model';
  const rows = db.prepare(sql).all(JSON.stringify(models)) as { model: string; name: string; sampling: string }[];
  return rows.map((row) => ({ ...row, sampling: Sampling.parse(JSON.parse(row.sampling)) }));
}

/** In place of one of the same name. */
export function putPreset(db: Database, { model, name, sampling }: PresetRow): void {
  db.prepare('insert or replace into sampling_presets (model, name, sampling) values (?, ?, ?)').run(model, name, JSON.stringify(sampling));
}

export function deletePreset(db: Database, model: string, name: string): void {
  db.prepare('delete from sampling_presets where model = ? and name = ?').run(model, name);
}
