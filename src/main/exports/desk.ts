/** The exports' procedures as the window asks for them (router.ts): checked at once, done as tasks, each export followed by its parity check. */
import { existsSync, statSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import type { ExportRecord } from '../../shared/api/exports.ts';
import type { GivenAbout } from '../../shared/export-about.ts';
import type { ExportJob } from '../../shared/job.ts';
import { deleteExport, type ExportRow, getExport, listExports as listExportRows } from '../db/exports.ts';
import type { Library } from '../library.ts';
import { type Model, resolveModel } from '../models/index.ts';
import { UserError } from '../user-error.ts';
import type { Workbench } from '../workbench.ts';
import { explainParity, readCard } from './card.ts';
import { isAdapterFormat, isGgufType } from './formats.ts';
import { exportModel } from './index.ts';
import { checkExport } from './parity.ts';
import { discardUnfinished, isFree, listUnfinished } from './partial.ts';

type Wanted = { model: string; format: ExportJob['format']; dtype: ExportJob['dtype']; folder: string; overwrite: boolean; given?: GivenAbout };

/** Newest first. */
export function listExports({ db }: Library): ExportRecord[] {
  return listExportRows(db).map(({ source: _, ...row }) => ({
    ...row,
    bytes: row.files.reduce((sum, { bytes }) => sum + bytes, 0),
    missing: !existsSync(row.path),
    card: readCard(row),
  }));
}

export function startExport(workbench: Workbench, wanted: Wanted): { taskId: number } {
  const { library, tasks, changes } = workbench;
  const model = resolveModel(library, wanted.model);
  checkWanted(model, wanted);
  const { id } = tasks.start({ kind: 'export-model', subject: model.name, unit: 'tensors' }, async ({ signal, progress }) => {
    const { format, dtype, folder, overwrite, given } = wanted;
    const told: string[] = [];
    const tell = (sentence: string): void => {
      told.push(sentence);
      changes.tell('exports');
    };
    try {
      const made = await exportModel(library, { model, format, dtype, out: folder, force: overwrite, given, signal, onCount: progress, tell });
      startCheck(workbench, getExport(library.db, made.id)!);
      return [made.path, ...told].join('; ');
    } finally {
      changes.tell('exports', 'models');
    }
  });
  return { taskId: id };
}

/** The same export again, which keeps what is whole of it. */
export function goOnWithExport(workbench: Workbench, id: string): { taskId: number } {
  const found = listUnfinished(workbench.library).find((each) => each.id === id);
  if (!found) throw new UserError('this unfinished export is not there any more');
  const { model, format, dtype, folder, force, given } = found;
  return startExport(workbench, { model, format, dtype, folder, overwrite: force, given });
}

export function discardExport({ library, changes }: Workbench, id: string): void {
  discardUnfinished(library, id);
  changes.tell('exports');
}

export function verifyExport(workbench: Workbench, id: number): { taskId: number } {
  return startCheck(workbench, find(workbench.library, id));
}

/** In the library's exports/, under a name nothing has yet. */
export function suggestFolder({ folder }: Library, { model, format }: { model: string; format: ExportJob['format'] }): string {
  const name = `${model.replace(/[^\p{L}\p{N}._-]+/gu, '-')}-${format}`;
  for (let n = 1; ; n++) {
    const path = join(folder, 'exports', n === 1 ? name : `${name}-${n}`);
    if (!existsSync(path) || (statSync(path).isDirectory() && isFree(path))) return path;
  }
}

export function forgetExport({ library, changes }: Workbench, id: number): void {
  deleteExport(library.db, find(library, id).id);
  changes.tell('exports', 'models');
}

function startCheck({ library, tasks, changes }: Workbench, row: ExportRow): { taskId: number } {
  const { id } = tasks.start({ kind: 'parity', subject: row.model, unit: 'prompts' }, async ({ signal, progress }) => {
    try {
      const parity = await checkExport(library, row, { signal, onCount: progress });
      return `${parity.passed ? 'passed' : 'failed'}: ${explainParity(parity)}`;
    } finally {
      changes.tell('exports');
    }
  });
  return { taskId: id };
}

function find({ db }: Library, id: number): ExportRow {
  const row = getExport(db, id);
  if (!row) throw new UserError('this export is not on the list any more');
  return row;
}

/** What can be said before anything is written, in the window's words. */
function checkWanted(model: Model, { format, dtype, folder, overwrite }: Wanted): void {
  if (format !== 'gguf' && isGgufType(dtype)) throw new UserError(`${dtype} is a type of GGUF: choose f32, f16 or bf16, or the GGUF format`);
  if (isAdapterFormat(format) && !model.path.adapter) throw new UserError(`${model.name} has weights of its own and is no adapter: choose safetensors or GGUF`);
  if (!isAbsolute(folder)) throw new UserError(`${folder}: not a whole path: choose a folder`);
  if (!existsSync(folder)) return;
  if (!statSync(folder).isDirectory()) throw new UserError(`${folder}: a file is in the way: choose another folder`);
  if (!overwrite && !isFree(folder)) throw new UserError(`${folder}: the folder is not empty: choose another one, or allow writing into it`);
}
