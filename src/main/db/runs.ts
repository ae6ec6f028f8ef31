/** Table `runs`: one training run each, with the recipe it can be repeated from. Its files lie in the library at runs/<id>/. */
import type { RunProgress } from '../../shared/api/runs.ts';
import type { ModelPath } from '../../shared/job.ts';
import type { Recipe } from '../../shared/recipe.ts';
import { isAlive } from '../process-identity.ts';
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
  /** Of training, pauses left out. */
  seconds: number;
  /** Last value of every metric; null stands for NaN. */
  last: Record<string, number | null>;
  /** As of a second ago at most while it runs. */
  progress: RunProgress | null;
  /** How often an engine began on it. */
  attempt: number;
  parameters: number | null;
  trainableParameters: number | null;
  /** Reached in training steps without an evaluation. */
  flopsPerSecond: number | null;
  error: string | null;
  createdAt: string;
  startedAt: string | null;
  finishedAt: string | null;
};

const COLUMNS = `id, name, method, status, recipe, model, parent_checkpoint_id as parentCheckpointId, seed, train_sha256 as trainSha256,
  validation_sha256 as validationSha256, device, engine_version as engineVersion, owner, step, total_steps as totalSteps,
  peak_memory_bytes as peakMemoryBytes, seconds, last, progress, attempt, parameters, trainable_parameters as trainableParameters,
  flops_per_second as flopsPerSecond, error, created_at as createdAt, started_at as startedAt, finished_at as finishedAt`;

type Stored = Omit<RunRow, 'recipe' | 'model' | 'last' | 'progress'> & { recipe: string; model: string; last: string; progress: string | null };
const parse = (row: Stored): RunRow => ({
  ...row,
  recipe: JSON.parse(row.recipe) as Recipe,
  model: JSON.parse(row.model) as ModelPath,
  last: JSON.parse(row.last) as RunRow['last'],
  progress: row.progress === null ? null : (JSON.parse(row.progress) as RunProgress),
});

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
    | 'name' | 'status' | 'recipe' | 'trainSha256' | 'validationSha256' | 'device' | 'engineVersion' | 'owner' | 'step' | 'totalSteps'
    | 'peakMemoryBytes' | 'seconds' | 'last' | 'progress' | 'attempt' | 'parameters' | 'trainableParameters' | 'flopsPerSecond'
    | 'error' | 'startedAt' | 'finishedAt'
  >
>;

/** Only the columns named in `changes`. */
export function updateRun(db: Database, id: number, changes: Changes): void {
  const names = Object.keys(changes);
  if (names.length === 0) return;
  const column = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  const assignments = names.map((name) => `${column(name)} = @${name}`).join(', ');
  const stored = Object.entries(changes).map(([name, value]) => [name, typeof value === 'object' && value !== null ? JSON.stringify(value) : value]);
  db.prepare(`update runs set ${assignments} where id = @id`).run({ ...Object.fromEntries(stored), id });
}

/** Of runs whose process is gone nobody will say how they ended: they are interrupted. Returns how many there were. */
export function interruptDeadRuns(db: Database): number {
  const active = db.prepare("select id, owner from runs where status in ('queued', 'running', 'paused')").all() as Pick<RunRow, 'id' | 'owner'>[];
  const dead = active.filter(({ owner }) => !(owner && isAlive(owner)));
  for (const { id } of dead) updateRun(db, id, { status: 'interrupted', owner: null });
  return dead.length;
}

/** Where its base lies now, after a move. */
export function updateRunModel(db: Database, id: number, model: ModelPath): void {
  db.prepare('update runs set model = ? where id = ?').run(JSON.stringify(model), id);
}

/**
 * Takes a run that nobody works on, for `owner`. False when another process was first: of two that resume the same run, one wins.
 */
export function claimRun(db: Database, id: number, owner: string): boolean {
  const sql = `update runs set status = 'queued', owner = ?, error = null, finished_at = null where id = ? and status in ('interrupted', 'stopped', 'failed')`;
  return db.prepare(sql).run(owner, id).changes === 1;
}

/** With its metrics and checkpoint rows; the files are the caller's to delete. */
export function deleteRun(db: Database, id: number): void {
  db.prepare('delete from runs where id = ?').run(id);
}
