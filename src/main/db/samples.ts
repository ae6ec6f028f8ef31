/** Table `samples`: what a run's model answered to a few prompts as it was at a step. The prompt is JSON: raw text, or messages. */
import type { SampleCompletion } from '../../shared/api/runs.ts';
import type { Database } from './database.ts';

/** All of one step; told again, they replace what was there. */
export function insertSamples(db: Database, runId: number, step: number, samples: Omit<SampleCompletion, 'step'>[]): void {
  const insert = db.prepare('insert or replace into samples (run_id, step, position, prompt, completion, expected) values (?, ?, ?, ?, ?, ?)');
  db.transaction(() => {
    for (const [position, { prompt, completion, expected }] of samples.entries()) {
      insert.run(runId, step, position, JSON.stringify(prompt), completion, expected);
    }
  }).immediate();
}

/** In order of steps, those after `after`; −1 gives all. */
export function listSamplesAfter(db: Database, runId: number, after: number): SampleCompletion[] {
  const sql = 'select step, prompt, completion, expected from samples where run_id = ? and step > ? order by step, position';
  const rows = db.prepare(sql).all(runId, after) as { step: number; prompt: string; completion: string; expected: string | null }[];
  return rows.map(({ prompt, ...row }) => ({ ...row, prompt: JSON.parse(prompt) as SampleCompletion['prompt'] }));
}

export function deleteSamplesAfter(db: Database, runId: number, step: number): void {
  db.prepare('delete from samples where run_id = ? and step > ?').run(runId, step);
}
