/** Table `sampling_presets`: settings, and what answers must be, kept by a name for a model. They outlive the model, whose name may come back. */
import { Constraint } from '../../shared/constraint.ts';
import { Sampling } from '../../shared/sampling.ts';
import type { Database } from './database.ts';

export type PresetRow = { model: string; name: string; sampling: Sampling; /** null: answers may be anything */ constraint: Constraint | null };

/** Of these models, by name. */
export function listPresets(db: Database, models: string[]): PresetRow[] {
  const sql = 'select model, name, sampling, constrained from sampling_presets where model in (select value from json_each(?)) order by name, model';
  const rows = db.prepare(sql).all(JSON.stringify(models)) as { model: string; name: string; sampling: string; constrained: string | null }[];
  return rows.map(({ constrained, ...row }) => ({
    ...row,
    sampling: Sampling.parse(JSON.parse(row.sampling)),
    constraint: constrained === null ? null : Constraint.parse(JSON.parse(constrained)),
  }));
}

/** In place of one of the same name. */
export function putPreset(db: Database, { model, name, sampling, constraint }: PresetRow): void {
  const constrained = constraint && JSON.stringify(constraint);
  db.prepare('insert or replace into sampling_presets (model, name, sampling, constrained) values (?, ?, ?, ?)').run(model, name, JSON.stringify(sampling), constrained);
}

export function deletePreset(db: Database, model: string, name: string): void {
  db.prepare('delete from sampling_presets where model = ? and name = ?').run(model, name);
}
