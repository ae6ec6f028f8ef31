import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { tags } from './desk.ts';
import { turnEdit } from './editing.ts';
import { edit, importRows, instruction, openTestLibrary, rowsOf, type TestLibrary, textsOf } from './testing.ts';

let library: TestLibrary;
beforeEach(async () => {
  library = openTestLibrary();
  await importRows(library, 40_000);
});
afterEach(() => library.close());

/** A process that edits the library, and is killed when `ready` says so. `work` sees view (of all rows), edit, turn and say. */
async function killAt(work: string, ready: () => boolean | Promise<boolean>): Promise<void> {
  const module = (name: string) => JSON.stringify(new URL(name, import.meta.url).href);
  const code = `
    const { open } = await import(${module('./testing.ts')});
    const { editDataset, turnEdit } = await import(${module('./editing.ts')});
    const { openView } = await import(${module('./desk.ts')});
    const workbench = open(${JSON.stringify(library.folder)});
    const { view } = await openView(workbench, { dataset: 'rows', filter: {} });
    const edit = (command) => editDataset(workbench, { dataset: 'rows', command });
    const turn = (what) => turnEdit(workbench, 'rows', what);
    const { writeFileSync } = await import('node:fs');
    const say = () => writeFileSync(${JSON.stringify(said())}, '');
    ${work}
    setInterval(() => {}, 1000);`;
  const child: ChildProcess = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: 'inherit' });
  const exit = once(child, 'exit');
  while (!(await ready())) {
    if (child.exitCode !== null) throw new Error(`the process ended with ${child.exitCode}`);
    await sleep(1);
  }
  child.kill('SIGKILL');
  await exit;
}
const said = () => join(library.folder, 'said');

/** Effects of the newest edit that are in the database, and of how many. */
function progress(): { applied: number; of: number; state: string | null } {
  const sql = `select state, (select count(*) from edit_effects e where e.edit_id = edits.id) as "of",
    (select count(*) from edit_effects e where e.edit_id = edits.id and applied = 1) as applied from edits order by id desc limit 1`;
  return (library.workbench.library.db.prepare(sql).get() as { applied: number; of: number; state: string }) ?? { applied: 0, of: 0, state: null };
}

test('an edit is in the database when its call returns, though the process is killed right after', async () => {
  await killAt(`await edit({ type: 'update', id: 1, example: ${JSON.stringify(instruction('durable'))} }); say();`, () => existsSync(said()));
  await library.reopen();
  expect((await textsOf(library))[0]).toBe('durable');
  expect((await turnEdit(library.workbench, 'rows', 'undo'))!.ids).toEqual([1]);
});

test('a big edit that is killed half way has not happened', async () => {
  const before = await rowsOf(library);
  await killAt(`await edit({ type: 'duplicate', rows: { view } });`, () => progress().of > 20);
  expect(progress()).toMatchObject({ state: 'applying' });
  const alone = progress().of;
  expect(alone).toBeLessThan(400); // it was half way
  await library.reopen();
  expect(await rowsOf(library)).toEqual(before);
  expect(await turnEdit(library.workbench, 'rows', 'undo')).toBeNull();
  await library.reopen();
  expect(library.workbench.library.db.prepare('select count(*) from examples').pluck().get()).toBe(40_000);
});

test('a big undo that is killed half way has not happened, and can be asked for again', async () => {
  await edit(library, { type: 'tag', rows: { ids: [1, 2] }, tag: 'two', on: true });
  const work = `await edit({ type: 'split-randomly', rows: { view }, validation: 0.5, test: 0, seed: 1 }); say(); await turn('undo');`;
  await killAt(work, () => existsSync(said()) && progress().state === 'undoing' && progress().applied < progress().of - 20);
  expect(progress().applied).toBeGreaterThan(0); // it was half way
  // whoever edits next settles it, though this library was open all the time
  await edit(library, { type: 'tag', rows: { ids: [3] }, tag: 'two', on: true });
  expect(await textsOf(library, { split: 'validation' })).toHaveLength(20_000);
  expect(tags(library.workbench, { dataset: 'rows' })).toEqual([{ tag: 'two', rows: 3 }]);
  for (const type of ['tag', 'split-randomly', 'tag']) expect((await turnEdit(library.workbench, 'rows', 'undo'))!.history.redo).toMatchObject({ type });
  expect(await textsOf(library, { split: 'validation' })).toEqual([]);
});

test('two processes do not edit one dataset at the same time', async () => {
  await killAt(`await edit({ type: 'duplicate', rows: { view } });`, async () => {
    if (progress().of < 5) return false;
    await expect(edit(library, { type: 'delete', rows: { ids: [1] } })).rejects.toThrow(/another process is editing this dataset just now/);
    return true;
  });
});
