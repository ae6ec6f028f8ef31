/**
 * Exports: a model written where others load it, with the recipe and the metrics it came from beside it.
 * The engine writes the weights; this says where, and refuses to mix an export with something else's files.
 */
import { existsSync, mkdirSync, readdirSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { stringify } from 'yaml';
import type { ExportJob, ExportResult } from '../../shared/job.ts';
import { askEngine } from '../engine.ts';
import type { Library } from '../library.ts';
import type { Model } from '../models/index.ts';
import { getRun } from '../db/runs.ts';
import { readMetrics } from '../runs/index.ts';
import { UserError } from '../user-error.ts';

export type ExportOptions = { model: Model; format: ExportJob['format']; dtype: ExportJob['dtype']; out: string; force?: boolean };

export async function exportModel(library: Library, { model, format, dtype, out, force = false }: ExportOptions): Promise<ExportResult> {
  if (format !== 'gguf' && dtype === 'q8_0') throw new UserError(`--type q8_0 is a GGUF type; ${format} takes f32, f16 or bf16`);
  if (format === 'peft' && !model.path.adapter) throw new UserError(`${model.name}: not an adapter; export it with --format safetensors`);
  const folder = resolve(out);
  const existed = existsSync(folder);
  if (existed && !statSync(folder).isDirectory()) throw new UserError(`${out}: a file is in the way; name another folder with --out`);
  if (existed && !force && readdirSync(folder).length > 0) throw new UserError(`${out}: the folder is not empty; name another one, or write into it with --force`);
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw new UserError(`${out}: the folder cannot be made (${(error as NodeJS.ErrnoException).code}); name another place with --out`);
  }

  try {
    const name = model.name.replace(/[^\p{L}\p{N}._-]+/gu, '-');
    const result = await askEngine<ExportResult>({ type: 'export', model: model.path, format, dtype, out: folder, name });
    const run = model.checkpoint && getRun(library.db, model.checkpoint.runId);
    if (run) {
      writeFileSync(join(folder, 'attune-recipe.yaml'), stringify(run.recipe));
      const metrics = readMetrics(library, run.id).map((point) => JSON.stringify(point));
      writeFileSync(join(folder, 'attune-metrics.jsonl'), metrics.join('\n') + '\n');
    }
    return result;
  } catch (error) {
    if (!existed && readdirSync(folder).length === 0) rmdirSync(folder);
    throw error;
  }
}
