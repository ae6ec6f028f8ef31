import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import Sqlite from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Recipe } from '../../shared/recipe.ts';
import { insertCheckpoint, listCheckpoints } from './checkpoints.ts';
import { type Database, openDatabase } from './database.ts';
import { deleteMetricsAfter, insertMetrics, listMetrics, listMetricsAfter } from './metrics.ts';
import { sql as library } from './migrations/0001-library.ts';
import { sql as editing } from './migrations/0002-editing.ts';
import { claimRun, deleteRun, getRun, getRunByName, insertRun, updateRun } from './runs.ts';

let folder: string;
let db: Database;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'attune-db-'));
  db = openDatabase(join(folder, 'library.db'));
});
afterEach(() => {
  db.close();
  rmSync(folder, { recursive: true });
});

function newRun(name: string): number {
  const recipe = Recipe.parse({ method: 'sft', model: 'base', dataset: 'rows' });
  return insertRun(db, { name, method: 'sft', recipe, model: { folder: '/m' }, parentCheckpointId: null, seed: 42, owner: null });
}

test('a new database is in WAL mode, enforces foreign keys, and every table is strict', () => {
  expect(db.pragma('journal_mode', { simple: true })).toBe('wal');
  expect(db.pragma('foreign_keys', { simple: true })).toBe(1);
  const tables = db.prepare("select name, strict from pragma_table_list where schema = 'main' and type = 'table' and name not like 'sqlite_%'").all() as { name: string; strict: number }[];
  expect(tables.length).toBeGreaterThan(8);
  expect(tables.filter(({ strict }) => strict !== 1)).toEqual([]);
});

test('threads that make the same new database at the same moment all get it', async () => {
  const code = `
    const { parentPort, workerData } = require('node:worker_threads');
    import(workerData.module).then(({ openDatabase }) => {
      parentPort.on('message', ({ path, at }) => {
        while (Date.now() < at);
        openDatabase(path).close();
        parentPort.postMessage('open');
      });
      parentPort.postMessage('ready');
    });`;
  const workerData = { module: new URL('./database.ts', import.meta.url).href };
  const workers = [1, 2].map(() => new Worker(code, { eval: true, workerData }));
  await Promise.all(workers.map((worker) => once(worker, 'message')));
  for (let round = 0; round < 40; round++) {
    const opened = workers.map((worker) => once(worker, 'message')); // throws what the thread throws
    for (const worker of workers) worker.postMessage({ path: join(folder, `new-${round}.db`), at: Date.now() + 20 });
    expect((await Promise.all(opened)).flat()).toEqual(['open', 'open']);
  }
  await Promise.all(workers.map((worker) => worker.terminate()));
});

test('a database of a newer schema is refused with a sentence and left as it is', () => {
  db.pragma('user_version = 99');
  db.close();
  expect(() => openDatabase(join(folder, 'library.db'))).toThrow(/newer Attune \(schema 99, this one knows \d+\): update Attune/);
  expect(() => openDatabase(join(folder, 'library.db'))).toThrow();
});

test('a file that is no database is refused with a sentence', () => {
  writeFileSync(join(folder, 'other.db'), 'this is plain text, and long enough to be read as a header '.repeat(20));
  expect(() => openDatabase(join(folder, 'other.db'))).toThrow(/other\.db: not a SQLite database: move it away/);
});

test('a run comes back as it went in, changes column by column, and takes metrics and checkpoints with it', () => {
  const id = newRun('first');
  updateRun(db, id, { status: 'running', totalSteps: 20, trainSha256: 'abc' });
  expect(getRun(db, id)).toMatchObject({ name: 'first', status: 'running', totalSteps: 20, trainSha256: 'abc', model: { folder: '/m' } });
  expect(getRunByName(db, 'first')!.recipe.optimizer.learningRate).toBe(2e-5);
  insertMetrics(db, id, [{ step: 1, seconds: 1, values: { loss: 2 } }]);
  insertCheckpoint(db, id, { step: 1, path: '/c', sha256: 'x', best: true });
  deleteRun(db, id);
  expect(db.prepare('select (select count(*) from metrics) + (select count(*) from checkpoints) as n').get()).toEqual({ n: 0 });
});

test('of two that claim an interrupted run only the first gets it', () => {
  const id = newRun('one');
  expect(claimRun(db, id, 'a')).toBe(false); // queued: somebody works on it
  updateRun(db, id, { status: 'interrupted' });
  expect(claimRun(db, id, 'a')).toBe(true);
  expect(claimRun(db, id, 'b')).toBe(false);
  expect(getRun(db, id)!.owner).toBe('a');
});

test('metrics are kept by step; a step told again replaces the old one; NaN survives; slices go on where the one before ended', () => {
  const id = newRun('curve');
  insertMetrics(db, id, [{ step: 2, seconds: 0.2, values: { loss: 3, accuracy: 1 } }, { step: 1, seconds: 0.1, values: { loss: 4 } }]);
  insertMetrics(db, id, [{ step: 2, seconds: 0.3, values: { loss: 2.5, grad_norm: NaN } }]);
  expect(listMetrics(db, id)).toEqual([
    { step: 1, values: { loss: 4 } },
    { step: 2, values: { loss: 2.5, grad_norm: NaN } },
  ]);
  expect(listMetricsAfter(db, id, -1, 1)).toEqual([{ step: 1, seconds: 0.1, values: { loss: 4 } }]);
  expect(listMetricsAfter(db, id, 1, 1)).toEqual([{ step: 2, seconds: 0.3, values: { loss: 2.5, grad_norm: null } }]);
  expect(deleteMetricsAfter(db, id, 1)).toBe(1);
  expect(listMetrics(db, id)).toHaveLength(1);
});

test('metrics of a library from before they were a row a step come along, with the last value of each', () => {
  const path = join(folder, 'old.db');
  const old = new Sqlite(path);
  for (const sql of [library, editing]) old.exec(sql);
  old.pragma('user_version = 2');
  old.exec(`insert into runs (id, name, method, status, recipe, model, seed, created_at) values (1, 'r', 'sft', 'finished', '{}', '{}', 1, '');
    insert into metrics values (1, 1, 'loss', 4.5), (1, 1, 'eval_loss', 3), (1, 2, 'loss', 2.25), (1, 2, 'grad_norm', null)`);
  old.close();
  const migrated = openDatabase(path);
  expect(listMetricsAfter(migrated, 1, -1, 9)).toEqual([
    { step: 1, seconds: null, values: { eval_loss: 3, loss: 4.5 } },
    { step: 2, seconds: null, values: { grad_norm: null, loss: 2.25 } },
  ]);
  expect(getRun(migrated, 1)!.last).toEqual({ eval_loss: 3, grad_norm: null, loss: 2.25 });
  migrated.close();
});

test('a new best checkpoint takes the mark from the old one, and a step written again keeps its row', () => {
  const id = newRun('checkpoints');
  insertCheckpoint(db, id, { step: 10, path: '/10', sha256: 'a', best: true });
  const [{ id: row }] = listCheckpoints(db, id);
  insertCheckpoint(db, id, { step: 20, path: '/20', sha256: 'b', best: true });
  insertCheckpoint(db, id, { step: 10, path: '/10', sha256: 'c', best: false });
  expect(listCheckpoints(db, id)).toMatchObject([
    { id: row, step: 10, sha256: 'c', best: false },
    { step: 20, best: true },
  ]);
});
