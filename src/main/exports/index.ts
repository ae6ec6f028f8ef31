/**
 * Exports: a model written where others load it, with the recipe, the metrics and a model card beside it, and remembered in the library.
 * The engine writes the weights; this says where, and refuses to mix an export with something else's files. Checking them is parity.ts.
 */
import { existsSync, mkdirSync, readdirSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { stringify } from 'yaml';
import type { EngineEvent, ExportJob, ExportResult, Job } from '../../shared/job.ts';
import { getExport, insertExport } from '../db/exports.ts';
import { getRun } from '../db/runs.ts';
import { startEngine } from '../engine.ts';
import type { Library } from '../library.ts';
import type { Model } from '../models/index.ts';
import { readMetrics } from '../runs/index.ts';
import { UserError } from '../user-error.ts';
import { writeCard } from './card.ts';
import { isAdapterFormat, isGgufType } from './formats.ts';
import { originOf } from './origin.ts';

export type ExportOptions = {
  model: Model;
  format: ExportJob['format'];
  dtype: ExportJob['dtype'];
  out: string;
  force?: boolean;
  /** Ends it at once; nothing half-written stays. */
  signal?: AbortSignal;
  /** Tensors taken up so far. */
  onCount?: (done: number, total: number) => void;
};

export async function exportModel(library: Library, options: ExportOptions): Promise<ExportResult & { id: number }> {
  const { model, format, dtype, out, force = false, signal, onCount } = options;
  if (format !== 'gguf' && isGgufType(dtype)) throw new UserError(`--type ${dtype} is a GGUF type; ${format} takes f32, f16 or bf16`);
  if (isAdapterFormat(format) && !model.path.adapter) throw new UserError(`${model.name}: not an adapter; export it with --format safetensors`);
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
    const run = model.checkpoint && getRun(library.db, model.checkpoint.runId);
    const origin = originOf(library, model.name, model.path.folder);
    const about = { baseName: origin.names[0] ?? model.name, method: run?.method ?? null, datasets: origin.datasets, license: origin.license };
    const result = await askEngineStoppably<ExportResult>({ type: 'export', model: model.path, format, dtype, out: folder, name: model.name, about }, { signal, onCount, leftovers: folder });
    if (run) {
      writeFileSync(join(folder, 'attune-recipe.yaml'), stringify(run.recipe));
      const metrics = readMetrics(library, run.id).map((point) => JSON.stringify(point));
      writeFileSync(join(folder, 'attune-metrics.jsonl'), metrics.join('\n') + '\n');
    }
    const { path, files, notes } = result;
    const source = { path: model.path, template: model.template, notes };
    // an adapter's matrices are written as they are trained
    const stored = format === 'peft' ? 'f32' : dtype;
    const id = insertExport(library.db, { model: model.name, source, format, dtype: stored, folder, path, files, at: new Date().toISOString() });
    writeCard(library, getExport(library.db, id)!);
    return { ...result, id };
  } catch (error) {
    if (!existed && existsSync(folder) && readdirSync(folder).length === 0) rmdirSync(folder);
    throw error;
  }
}

/** A job with a result, a count on the way, and a way to end it. `leftovers`: the folder it writes into or beside, tidied when it is ended. */
export async function askEngineStoppably<T>(
  job: Job,
  { signal, onCount = () => {}, leftovers }: { signal?: AbortSignal; onCount?: (done: number, total: number) => void; leftovers?: string },
): Promise<T> {
  signal?.throwIfAborted();
  const engine = startEngine(job);
  signal?.addEventListener('abort', engine.kill);
  let result: Extract<EngineEvent, { type: 'result' }> | null = null;
  try {
    for await (const event of engine.events) {
      if (event.type === 'count') onCount(event.done, event.total);
      if (event.type === 'result') result = event;
    }
    return result!.value as T;
  } catch (error) {
    if (leftovers) removeLeftovers(leftovers, engine.pid);
    throw error;
  } finally {
    signal?.removeEventListener('abort', engine.kill);
  }
}

/** What a killed engine was writing (engine/formats/write-beside.ts names such files after its process). */
function removeLeftovers(folder: string, pid: number): void {
  for (const place of [folder, dirname(folder)]) {
    if (!existsSync(place)) continue;
    for (const name of readdirSync(place)) {
      if (name.endsWith(`.${pid}.tmp`) && (place === folder || name.startsWith(`.${basename(folder)}.`))) rmSync(join(place, name), { recursive: true, force: true });
    }
  }
}
