/**
 * Exports: a model written where others load it, with the recipe, the metrics and a model card beside it, and remembered in the library.
 * The engine writes the weights; this says where, and refuses to mix an export with something else's files. What is written before an export is
 * whole is partial.ts', checking it afterwards parity.ts'.
 */
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { stringify } from 'yaml';
import type { GivenAbout } from '../../shared/export-about.ts';
import type { EngineEvent, ExportJob, Job } from '../../shared/job.ts';
import type { ExportResult } from '../../shared/job-results.ts';
import { insertExport } from '../db/exports.ts';
import { getRun } from '../db/runs.ts';
import { startEngine } from '../engine.ts';
import type { Library } from '../library.ts';
import type { Model } from '../models/index.ts';
import { stampsOf } from '../models/stamps.ts';
import { VERSION } from '../paths.ts';
import { readMetrics } from '../runs/index.ts';
import { CLOSING } from '../tasks.ts';
import { UserError } from '../user-error.ts';
import { canWriteCard, writeCard } from './card.ts';
import { isAdapterFormat, isGgufType } from './formats.ts';
import { originOf } from './origin.ts';
import { isFree, openPartial, removeAbandoned } from './partial.ts';

export type ExportOptions = {
  model: Model;
  format: ExportJob['format'];
  dtype: ExportJob['dtype'];
  out: string;
  force?: boolean;
  /** What the person says of it. */
  given?: GivenAbout;
  /** Ends it at once; nothing half-written stays, but where the workbench is closing. */
  signal?: AbortSignal;
  /** Tensors that are there, and how many of them were before. */
  onCount?: (done: number, total: number, already: number) => void;
  /** Hears in a sentence what became of exports that were not finished. */
  tell?: (sentence: string) => void;
};

export async function exportModel(library: Library, options: ExportOptions): Promise<ExportResult & { id: number }> {
  const { model, format, dtype, out, force = false, given = {}, signal, onCount = () => {}, tell = () => {} } = options;
  if (format !== 'gguf' && isGgufType(dtype)) throw new UserError(`--type ${dtype} is a GGUF type; ${format} takes f32, f16 or bf16`);
  if (isAdapterFormat(format) && !model.path.adapter) throw new UserError(`${model.name}: not an adapter; export it with --format safetensors`);
  const folder = resolve(out);
  if (existsSync(folder) && !statSync(folder).isDirectory()) throw new UserError(`${out}: a file is in the way; name another folder with --out`);
  if (existsSync(folder) && !force && !isFree(folder)) throw new UserError(`${out}: the folder is not empty; name another one, or write into it with --force`);
  try {
    mkdirSync(dirname(folder), { recursive: true });
  } catch (error) {
    throw new UserError(`${out}: the folder cannot be made (${(error as NodeJS.ErrnoException).code}); name another place with --out`);
  }

  const run = model.checkpoint && getRun(library.db, model.checkpoint.runId);
  const origin = originOf(library, model.name, model.path.folder);
  const { base, datasets, stated } = origin;
  const known = { baseName: origin.names[0] ?? (model.path.adapter ? basename(model.path.folder) : model.name), base, method: run?.method ?? null, datasets, stated, given };
  removeAbandoned(library).forEach(tell);
  const inputs = { model: stampOf(model), description: JSON.stringify(known), program: `${VERSION} ${LAYOUT}` };
  const partial = openPartial(library, { model: model.name, format, dtype, folder, force, given }, inputs, tell);
  try {
    const job: Job = { type: 'export', model: model.path, format, dtype, out: partial.files, journal: partial.journal, name: model.name, about: known };
    const count = (done: number, total: number, already: number): void => {
      partial.setTotal(total);
      onCount(done, total, already);
    };
    const { path: written, files, notes, about } = await askEngineStoppably<ExportResult>(job, { signal, onCount: count });
    if (run) {
      writeFileSync(join(partial.files, 'attune-recipe.yaml'), stringify(run.recipe));
      const metrics = readMetrics(library, run.id).map((point) => JSON.stringify(point));
      writeFileSync(join(partial.files, 'attune-metrics.jsonl'), metrics.join('\n') + '\n');
    }
    const path = written === partial.files ? folder : join(folder, basename(written));
    const source = { path: model.path, template: model.template, notes, about };
    // an adapter's matrices are written as they are trained
    const stored = format === 'peft' ? 'f32' : dtype;
    const row = { model: model.name, source, format, dtype: stored, folder, path, files, at: new Date().toISOString() };
    if (canWriteCard(folder)) writeCard(library, { ...row, id: 0, parity: null, parityError: null }, partial.files);
    // on the list first: what is cut off here is seen there, and gone on with
    const id = insertExport(library.db, row);
    partial.moveIn('config.json');
    return { path, files, notes, about, id };
  } catch (error) {
    if (!signal?.aborted || signal.reason === CLOSING) throw partial.leave(error as Error);
    partial.remove();
    throw error;
  }
}

/** Raised when the same model may give other bytes than before. */
const LAYOUT = 1;

/** What decides the weights and the texts beside them: a checkpoint's hash where there is one, else sizes and times of files. */
function stampOf({ path, checkpoint }: Model): string {
  const filesOf = (folder: string): string[] => {
    const names = folder.endsWith('.gguf') ? [] : readdirSync(folder).filter((name) => /\.(safetensors|json|jinja|model|txt)$/.test(name)).sort();
    return [folder, ...names, ...stampsOf(folder, names)];
  };
  const own = path.adapter ?? path.folder;
  return [...(checkpoint ? [checkpoint.sha256] : filesOf(own)), ...(path.adapter ? filesOf(path.folder) : [])].join('\n');
}

/** A job with a result, a count on the way, and a way to end it. */
export async function askEngineStoppably<T>(
  job: Job,
  { signal, onCount = () => {} }: { signal?: AbortSignal; onCount?: (done: number, total: number, already: number) => void },
): Promise<T> {
  signal?.throwIfAborted();
  const engine = startEngine(job);
  signal?.addEventListener('abort', engine.kill);
  let result: Extract<EngineEvent, { type: 'result' }> | null = null;
  try {
    for await (const event of engine.events) {
      if (event.type === 'count') onCount(event.done, event.total, event.already ?? 0);
      if (event.type === 'result') result = event;
    }
    return result!.value as T;
  } finally {
    signal?.removeEventListener('abort', engine.kill);
  }
}
