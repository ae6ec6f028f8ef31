/** Table `runs`: one training run each, with the recipe it can be repeated from. Its files lie in the library at runs/<id>/. */
import type { ModelPath } from '../../shared/job.ts';
import type { Recipe } from '../../shared/recipe.ts';
import type { Database } from './database.ts';

export type RunStatus = 'queued' | 'running' | 'paused' | 'finished' | 'stopped' | 'failed' | 'interrupted';
export type RunRow = {
  id: number;
  name: string;
  method: Recipe['method'];
  status: RunStatus;
  recipe: Recipe;
  /** What it started from, resolved. */
  model: ModelPath;
  parentCheckpointId: number | null;
  seed: number;
  /** Of the JSONL files the engine read. */
  trainSha256: string | null;
  validationSha256: string | null;
  device: string | null;
  engineVersion: string | null;
  owner: string | null;
  step: number;
  totalSteps: number;
  peakMemoryBytes: number | null;
  error: string | null;
  createdAt: string;
  startedAt: string | null;
  finishedAt: string | null;
};

const COLUMNS = `id, name, method, status, recipe, model, parent_checkpoint_id as parentCheckpointId, seed, train_sha256 as trainSha256,
  validation_sha256 as validationSha256, device, engine_version as engineVersion, owner, step, total_steps as totalSteps,
  peak_memory_bytes as peakMemoryBytes, error, created_at as createdAt, started_at as startedAt, finished_at as finishedAt`;

type Stored = Omit<RunRow, 'recipe' | 'model'> & { recipe: string; model: string };
const parse = (row: Stored): RunRow => ({ ...row, recipe: JSON.parse(row.recipe) as Recipe, model: JSON.parse(row.model) as ModelPath });

export function listRuns(db: Database): RunRow[] {
  return (db.prepare(`select ${COLUMNS} from runs order by id`).all() as Stored[]).map(parse);
}

export function getRun(db: Database, id: number): RunRow | undefined {
  const row = db.prepare(`select ${COLUMNS} from runs where id = ?`).get(id) as Stored | undefined;
  return row && parse(row);
}

export function getRunByName(db: Database, name: string): RunRow | undefined {
  const row = db.prepare(`select ${COLUMNS} from runs where name = ?`).get(name) as Stored | undefined;
  return row && parse(row);
}

export function insertRun(
  db: Database,
  run: Pick<RunRow, 'name' | 'method' | 'recipe' | 'model' | 'parentCheckpointId' | 'seed' | 'owner'>,
): number {
  const sql = `insert into runs (name, method, status, recipe, model, parent_checkpoint_id, seed, owner, created_at)
               values (@name, @method, 'queued', @recipe, @model, @parentCheckpointId, @seed, @owner, @createdAt)`;
  const values = { ...run, recipe: JSON.stringify(run.recipe), model: JSON.stringify(run.model), createdAt: new Date().toISOString() };
  return Number(db.prepare(sql).run(values).lastInsertRowid);
}

type Changes = Partial<
  Pick<
    RunRow,
    | 'status' | 'trainSha256' | 'validationSha256' | 'device' | 'engineVersion' | 'owner' | 'step' | 'totalSteps'
    | 'peakMemoryBytes' | 'error' | 'startedAt' | 'finishedAt'
  >
>;

/** Only the columns named in `changes`. */
export function updateRun(db: Database, id: number, changes: Changes): void {
  const names = Object.keys(changes);
  if (names.length === 0) return;
  const column = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  const assignments = names.map((name) => `${column(name)} = @${name}`).join(', ');
  db.prepare(`update runs set ${assignments} where id = @id`).run({ ...changes, id });
}

/**
 * Takes a run that nobody works on, for `owner`. False when another process was first: of two that resume the same run, one wins.
 */
export function claimRun(db: Database, id: number, owner: string): boolean {
  const sql = `update runs set status = 'queued', owner = ?, error = null where id = ? and status in ('interrupted', 'stopped', 'failed')`;
  return db.prepare(sql).run(owner, id).changes === 1;
}

/** With its metrics and checkpoint rows; the files are the caller's to delete. */
export function deleteRun(db: Database, id: number): void {
  db.prepare('delete from runs where id = ?').run(id);
}
