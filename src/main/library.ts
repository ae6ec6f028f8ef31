/**
 * The library: one folder with the database and every run's files. Opening it also settles what killed processes left:
 * half-imported files go, half-done edits of datasets are taken back, runs and reports whose process is gone are marked interrupted, and those on an embedded model
 * follow it to where the program lies now.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { openDatabase, type Database } from './db/database.ts';
import { deleteDatasetFile, deleteEmptyDatasets, listImportingFiles } from './db/datasets.ts';
import { listUnfinishedEdits, rollBackEdit } from './db/edits.ts';
import { interruptDeadReports } from './db/method-reports.ts';
import { interruptDeadRuns, listRuns, updateRunModel } from './db/runs.ts';
import { RESOURCES } from './paths.ts';
import { isAlive } from './process-identity.ts';

export type Library = { folder: string; db: Database };

/** ATTUNE_HOME, else the platform's data folder. */
export function libraryFolder(env: NodeJS.ProcessEnv = process.env): string {
  if (env.ATTUNE_HOME) return resolve(env.ATTUNE_HOME);
  if (process.platform === 'darwin') return join(homedir(), 'Library', 'Application Support', 'Attune');
  if (process.platform === 'win32') return join(env.APPDATA ?? join(homedir(), 'AppData', 'Roaming'), 'Attune');
  return join(env.XDG_DATA_HOME || join(homedir(), '.local', 'share'), 'attune');
}

export function openLibrary(folder: string = libraryFolder()): Library {
  try {
    mkdirSync(join(folder, 'runs'), { recursive: true });
  } catch (error) {
    throw new Error(`${folder}: the library folder cannot be made (${(error as NodeJS.ErrnoException).code}): set ATTUNE_HOME to a folder you can write`, {
      cause: error,
    });
  }
  const library = { folder, db: openDatabase(join(folder, 'library.db')) };
  settle(library);
  return library;
}

export function closeLibrary(library: Library): void {
  library.db.close();
}

function settle({ db }: Library): void {
  const dead = listImportingFiles(db).filter((file) => !isAlive(file.owner));
  if (dead.length > 0) {
    db.transaction(() => {
      for (const file of dead) deleteDatasetFile(db, file.id);
      deleteEmptyDatasets(db);
    }).immediate();
  }
  for (const edit of listUnfinishedEdits(db)) if (!isAlive(edit.owner)) rollBackEdit(db, edit);
  interruptDeadRuns(db);
  interruptDeadReports(db);
  followEmbeddedModels(db);
}

/** An embedded model lies where the program lies, which an update or a package that is mounted anew moves: runs on it go along. */
function followEmbeddedModels(db: Database): void {
  for (const { id, model } of listRuns(db)) {
    const here = join(RESOURCES, 'models', basename(model.folder));
    if (!existsSync(model.folder) && existsSync(join(here, 'config.json'))) updateRunModel(db, id, { ...model, folder: here });
  }
}
