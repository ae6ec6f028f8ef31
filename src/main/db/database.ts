/**
 * Opens the library's SQLite file and brings its schema up to date. Plain functions in the files beside this one hold all SQL, one file a table.
 * Not an ORM, and no tensor ever: files on disk hold those, and paths to them stand here.
 */
import Sqlite from 'better-sqlite3';
import { sql as library } from './migrations/0001-library.ts';
import { sql as editing } from './migrations/0002-editing.ts';
import { sql as runs } from './migrations/0003-runs.ts';
import { sql as playground } from './migrations/0004-playground.ts';
import { sql as history } from './migrations/0005-history.ts';
import { sql as judging } from './migrations/0006-judging.ts';
import { sql as kinds } from './migrations/0007-kinds.ts';
import { sql as runReports } from './migrations/0008-run-reports.ts';
import { sql as rankings } from './migrations/0009-rankings.ts';
import { sql as sampling } from './migrations/0010-sampling.ts';
import { sql as rowScores } from './migrations/0011-row-scores.ts';
import { sql as constraints } from './migrations/0012-constraints.ts';
import { sql as prompts } from './migrations/0013-prompts.ts';

export type Database = Sqlite.Database;

/** In order; the n-th brings user_version from n − 1 to n. One that has shipped never changes. */
const MIGRATIONS: string[] = [library, editing, runs, playground, history, judging, kinds, runReports, rankings, sampling, rowScores, constraints, prompts];

/** How long a writer waits for another, ms. */
const TIMEOUT = 15_000;

/** Safe for several processes at once: WAL, writers wait for each other, each migration is one transaction. */
export function openDatabase(path: string): Database {
  const db = new Sqlite(path, { timeout: TIMEOUT });
  try {
    turnOnWal(db);
    db.pragma('synchronous = NORMAL');
    db.pragma('foreign_keys = ON');
    migrate(db, path);
    return db;
  } catch (error) {
    db.close();
    if ((error as { code?: string }).code === 'SQLITE_NOTADB') {
      throw new Error(`${path}: not a SQLite database: move it away, or set ATTUNE_HOME to another folder`, { cause: error });
    }
    throw error;
  }
}

/**
 * The first to open a new library turns the log on for good. That step alone does not wait for locks, whatever the timeout: two processes
 * that make the library at the same moment would fail each other.
 */
function turnOnWal(db: Database): void {
  for (const until = Date.now() + TIMEOUT; ; ) {
    try {
      db.pragma('journal_mode = WAL');
      return;
    } catch (error) {
      if ((error as { code?: string }).code !== 'SQLITE_BUSY' || Date.now() > until) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    }
  }
}

function migrate(db: Database, path: string): void {
  const version = () => db.pragma('user_version', { simple: true }) as number;
  while (version() !== MIGRATIONS.length) {
    db.transaction(() => {
      const from = version(); // another process may have been first
      if (from > MIGRATIONS.length) {
        throw new Error(
          `${path}: the library was written by a newer Attune (schema ${from}, this one knows ${MIGRATIONS.length}): update Attune, or set ATTUNE_HOME to another folder`,
        );
      }
      if (from === MIGRATIONS.length) return;
      db.exec(MIGRATIONS[from]);
      db.pragma(`user_version = ${from + 1}`);
    }).immediate();
  }
}
