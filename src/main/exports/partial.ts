/**
 * Exports on their way. What is written lies in a folder of its own, beside the target (inside it where that is there already), named by a hash of all
 * that decides the bytes: `files`, the engine's journal of whole tensors, job.json and the process that owns it. Asked for the same again, the
 * same folder is found and gone on with; of other inputs, it is another one. The library keeps a line on each, so that the window can offer them.
 * Here is no tensor: what of the files is whole is the engine's to find out.
 */
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import type { UnfinishedExport } from '../../shared/api/exports.ts';
import { GivenAbout } from '../../shared/export-about.ts';
import { ExportJob } from '../../shared/job.ts';
import type { Library } from '../library.ts';
import { isAlive, OWNER } from '../process-identity.ts';
import { UserError } from '../user-error.ts';

/** What decides the bytes, by what it is called in a sentence. */
export type Inputs = Record<'model' | 'description' | 'program', string>;

const Job = z.object({
  model: z.string(), format: ExportJob.shape.format, dtype: ExportJob.shape.dtype, folder: z.string(), force: z.boolean(), given: GivenAbout,
  inputs: z.record(z.string(), z.string()), startedAt: z.string(), total: z.int().nullable(), error: z.string().nullable(),
});
type Job = z.infer<typeof Job>;
export type Wanted = Pick<Job, 'model' | 'format' | 'dtype' | 'folder' | 'force' | 'given'>;

const NAME = /^\..+\.[0-9a-f]{12}\.unfinished$/;
/** Nobody goes on with one that lay still for so long, ms. */
const ABANDONED = 30 * 24 * 3600 * 1000;
const CHANGED: Record<keyof Inputs, string> = { model: "the model's files", description: 'what the files say of themselves', program: 'Attune' };

export type Partial = {
  /** Where the engine writes, and its journal. */
  files: string;
  journal: string;
  setTotal(total: number): void;
  /** All is written: it becomes the target, `last` after all other files where they go in one by one. */
  moveIn(last: string): void;
  /** Takes it away, whole. */
  remove(): void;
  /** After a failure: kept where a tensor of it is whole. Gives the error to throw, in the target's words. */
  leave(error: Error): Error;
};

/** Whether a folder holds nothing but exports that are on their way into it. */
export const isFree = (folder: string): boolean => readdirSync(folder).every((name) => NAME.test(name));

/** Finds the unfinished export that is just this one, or begins it. `tell` hears what became of others. */
export function openPartial(library: Library, wanted: Wanted, inputs: Inputs, tell: (sentence: string) => void): Partial {
  const { folder: target } = wanted;
  const places = [dirname(target), target].filter((place) => existsSync(place));
  const hash = createHash('sha256').update(JSON.stringify([wanted.model, wanted.format, wanted.dtype, inputs])).digest('hex').slice(0, 12);
  const name = `.${basename(target)}.${hash}.unfinished`;
  const known = places.map((place) => join(place, name)).find((path) => existsSync(path));
  const folder = known ?? join(isReplaceable(target) ? dirname(target) : target, name);
  removeOutdated(library, places, wanted, inputs, folder, tell);
  const at = (file: string): string => join(folder, file);
  const old = readJob(folder);
  let job: Job = { ...wanted, inputs, startedAt: old?.startedAt ?? new Date().toISOString(), total: old?.total ?? null, error: null };
  const write = (changed: globalThis.Partial<Job>): void => {
    job = { ...job, ...changed };
    writeFileSync(at('job.json'), JSON.stringify(job));
  };
  try {
    mkdirSync(at('files'), { recursive: true });
    own(at('owner'));
    write({});
    const line = lineOf(library, folder);
    mkdirSync(dirname(line), { recursive: true });
    writeFileSync(line, folder);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${target}: nothing can be written there (${(error as NodeJS.ErrnoException).code}); make room, or choose another folder`);
  }
  for (const file of readdirSync(at('files'))) if (file.endsWith('.tmp')) rmSync(join(at('files'), file), { recursive: true }); // of an engine that was killed
  const before = countLines(at('journal.jsonl'));
  if (before > 0) tell(`goes on with what was written before: ${before} tensors are there`);
  const remove = (): void => removePartial(library, folder);
  return {
    files: at('files'),
    journal: at('journal.jsonl'),
    setTotal(total) {
      if (job.total !== total) write({ total });
    },
    moveIn(last) {
      moveFolder(at('files'), target, last);
      remove();
    },
    remove,
    leave(error) {
      const message = error.message.replaceAll(at('files'), target);
      const done = countLines(at('journal.jsonl'));
      if (done === 0) {
        remove();
        return message === error.message ? error : new Error(message, { cause: error });
      }
      rmSync(at('owner'), { force: true });
      const sentence = `${message} (${done}${job.total === null ? '' : ` of ${job.total}`} tensors are kept: the same export, asked for again, goes on with them)`;
      try {
        write({ error: message });
      } catch {
        // a full disk: that it stopped is seen without it
      }
      return new Error(sentence, { cause: error });
    },
  };
}

/** Of this library, newest first; what is gone from the disk is forgotten. */
export function listUnfinished(library: Library): (UnfinishedExport & Pick<Job, 'force' | 'given'>)[] {
  return linesOf(library).flatMap((line) => {
    const folder = readFileSync(line, 'utf8');
    const job = readJob(folder);
    if (!job) {
      if (existsSync(dirname(folder))) rmSync(line, { force: true }); // else a drive that is away
      return [];
    }
    const { inputs: _, ...rest } = job;
    return [{ id: basename(line), ...rest, done: countLines(join(folder, 'journal.jsonl')), bytes: bytesOf(join(folder, 'files')), running: isOwned(folder) }];
  }).sort((a, b) => (a.startedAt < b.startedAt ? 1 : -1));
}

/** Takes away what was written; the target was never touched. */
export function discardUnfinished(library: Library, id: string): void {
  const line = linesOf(library).find((path) => basename(path) === id);
  if (line === undefined) throw new UserError('this unfinished export is not there any more');
  const folder = readFileSync(line, 'utf8');
  if (isOwned(folder)) throw new UserError('this export is being written just now: cancel it instead');
  removePartial(library, folder);
}

/** Takes away what nobody went on with; gives a sentence on each. */
export function removeAbandoned(library: Library): string[] {
  return linesOf(library).flatMap((line) => {
    const folder = readFileSync(line, 'utf8');
    const job = readJob(folder);
    const touched = Math.max(...['job.json', 'journal.jsonl'].map((name) => statSync(join(folder, name), { throwIfNoEntry: false })?.mtimeMs ?? 0));
    if (!job || isOwned(folder) || Date.now() - touched < ABANDONED) return [];
    removePartial(library, folder);
    return [`an export of ${job.model} to ${job.folder} that was never finished, and lay still since ${new Date(touched).toISOString().slice(0, 10)}, was removed`];
  });
}

/** The same export of what has changed since can never be gone on with. One of another format or type is left: it may be wanted yet. */
function removeOutdated(library: Library, places: string[], wanted: Wanted, inputs: Inputs, mine: string, tell: (sentence: string) => void): void {
  for (const place of places) {
    for (const name of readdirSync(place)) {
      const folder = join(place, name);
      const job = NAME.test(name) && folder !== mine ? readJob(folder) : null;
      if (!job || isOwned(folder) || job.folder !== wanted.folder || job.model !== wanted.model || job.format !== wanted.format || job.dtype !== wanted.dtype) continue;
      const changed = (Object.keys(CHANGED) as (keyof Inputs)[]).filter((key) => job.inputs[key] !== inputs[key]).map((key) => CHANGED[key]);
      if (changed.length > 0) tell(`starts anew: ${changed.join(' and ')} changed since this export was begun, so what was written of it cannot be used`);
      removePartial(library, folder);
    }
  }
}

/** One process at a time; what a dead one owned is free. */
function own(path: string): void {
  for (;;) {
    try {
      writeFileSync(path, OWNER, { flag: 'wx' });
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      if (isOwned(dirname(path))) throw new UserError('this very export is being written already: wait for its end, or cancel it');
      rmSync(path, { force: true });
    }
  }
}

function isOwned(folder: string): boolean {
  const path = join(folder, 'owner');
  return existsSync(path) && isAlive(readFileSync(path, 'utf8'));
}

/** Whether a folder can take the target's place in one step: there is none yet, or an empty one that is no drive by itself and no link. */
function isReplaceable(target: string): boolean {
  const found = lstatSync(target, { throwIfNoEntry: false });
  if (!found) return true;
  if (!found.isDirectory() || readdirSync(target).length > 0 || found.dev !== statSync(dirname(target)).dev) return false;
  try {
    accessSync(dirname(target), constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function moveFolder(from: string, to: string, last: string): void {
  if (isReplaceable(to)) {
    if (existsSync(to)) rmdirSync(to);
    renameSync(from, to);
    return;
  }
  const names = readdirSync(from).filter((name) => name !== last);
  if (existsSync(join(from, last))) names.push(last);
  for (const name of names) renameSync(join(from, name), join(to, name));
  rmdirSync(from);
}

function removePartial(library: Library, folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  rmSync(lineOf(library, folder), { force: true });
}

/** Null: there is none, or none that can be read. */
function readJob(folder: string): Job | null {
  try {
    return Job.safeParse(JSON.parse(readFileSync(join(folder, 'job.json'), 'utf8'))).data ?? null;
  } catch {
    return null;
  }
}

const linesOf = ({ folder }: Library): string[] => {
  const place = join(folder, 'unfinished-exports');
  return existsSync(place) ? readdirSync(place).map((name) => join(place, name)) : [];
};
const lineOf = ({ folder }: Library, partial: string): string => join(folder, 'unfinished-exports', createHash('sha256').update(partial).digest('hex').slice(0, 16));
const countLines = (path: string): number => (existsSync(path) ? readFileSync(path, 'utf8').split('\n').length - 1 : 0);
const bytesOf = (folder: string): number => (existsSync(folder) ? readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0) : 0);
