import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Recipe } from '../shared/recipe.ts';
import { getDatasetByName, insertDataset, insertDatasetFile, listImportingFiles } from './db/datasets.ts';
import { insertExamples } from './db/examples.ts';
import { getRun, insertRun } from './db/runs.ts';
import { closeLibrary, libraryFolder, openLibrary } from './library.ts';
import { RESOURCES } from './paths.ts';
import { isAlive, OWNER } from './process-identity.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'attune-library-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** The owner name of a process that has ended. */
function deadOwner(): string {
  const module = new URL('./process-identity.ts', import.meta.url).href;
  const { stdout } = spawnSync(process.execPath, ['-e', `import('${module}').then((m) => console.log(m.OWNER))`], { encoding: 'utf8' });
  expect(stdout).toMatch(/^\d+/);
  return stdout.trim();
}

test('ATTUNE_HOME names the library; without it the platform does', () => {
  expect(libraryFolder({ ATTUNE_HOME: '/somewhere' })).toBe('/somewhere');
  if (process.platform === 'linux') expect(libraryFolder({ XDG_DATA_HOME: '/data' })).toBe('/data/attune');
});

test('this process lives, an ended one does not, and a pid used again is another process', () => {
  expect(isAlive(OWNER)).toBe(true);
  expect(isAlive(deadOwner())).toBe(false);
  if (process.platform === 'linux') expect(isAlive(`${process.pid}:1`)).toBe(false);
});

test('opening clears the import of a process that was killed, and leaves that of a living one', () => {
  const library = openLibrary(folder);
  const begin = (name: string, owner: string) => {
    const datasetId = insertDataset(library.db, name);
    const fileId = insertDatasetFile(library.db, { datasetId, file: '/f', format: 'text', split: 'train', owner });
    insertExamples(library.db, fileId, [{ line: 1, example: { kind: 'text', text: 'half' } }]);
  };
  begin('killed', deadOwner());
  begin('living', OWNER);
  closeLibrary(library);

  const again = openLibrary(folder);
  expect(getDatasetByName(again.db, 'killed')).toBeUndefined();
  expect(listImportingFiles(again.db)).toHaveLength(1);
  expect(again.db.prepare('select count(*) as n from examples').get()).toEqual({ n: 1 });
  closeLibrary(again);
});

test('a run whose process is gone is seen as interrupted; a living one is left alone', () => {
  const library = openLibrary(folder);
  const recipe = Recipe.parse({ method: 'sft', model: 'm', dataset: 'd' });
  const insert = (name: string, owner: string) =>
    insertRun(library.db, { name, method: 'sft', recipe, model: { folder: '/m' }, parentCheckpointId: null, seed: 1, owner });
  const [gone, here] = [insert('gone', deadOwner()), insert('here', OWNER)];
  closeLibrary(library);
  const again = openLibrary(folder);
  expect(getRun(again.db, gone)!.status).toBe('interrupted');
  expect(getRun(again.db, here)!.status).toBe('queued');
  closeLibrary(again);
});

test('a library folder that cannot be made is told with the way out', () => {
  writeFileSync(join(folder, 'file'), '');
  expect(() => openLibrary(join(folder, 'file', 'library'))).toThrow(/the library folder cannot be made \(ENOTDIR\): set ATTUNE_HOME/);
});

test('a run on the embedded model finds it again after the program has moved', () => {
  const library = openLibrary(folder);
  const recipe = Recipe.parse({ method: 'sft', model: 'attune-base', dataset: 'rows' });
  const model = { folder: '/mnt/.mount_old/resources/models/attune-base' };
  const id = insertRun(library.db, { name: 'moved', method: 'sft', recipe, model, parentCheckpointId: null, seed: 1, owner: null });
  closeLibrary(library);
  const again = openLibrary(folder);
  expect(getRun(again.db, id)!.model.folder).toBe(join(RESOURCES, 'models', 'attune-base'));
  closeLibrary(again);
});
