/** The window's file dialog and settings: what is listed and made, what is refused in a sentence, what is remembered. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { about } from './about.ts';
import { chooseFile, listFolder, makeFolder, revealFile } from './files.ts';
import { readSettings, saveSettings } from './settings.ts';
import { openWorkbench, type Workbench } from './workbench.ts';

let root: string;
let workbench: Workbench;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'attune-files-'));
  workbench = openWorkbench({ kind: 'browser', choose: null, reveal: null, printPdf: null }, join(root, 'library'));
});
afterAll(async () => {
  await workbench.close();
  rmSync(root, { recursive: true });
});

it('lists folders first, by number as people count, without hidden ones and links to nowhere', async () => {
  const folder = join(root, 'list');
  for (const name of ['step-10', 'step-9', '.hidden', 'Model']) mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, 'Model', 'config.json'), '{}');
  writeFileSync(join(folder, 'a.jsonl'), '12345');
  writeFileSync(join(folder, 'b.gguf'), '');
  writeFileSync(join(folder, '.secret'), '');
  symlinkSync(join(folder, 'nowhere'), join(folder, 'link'));
  const { parent, entries } = await listFolder(folder);
  expect(parent).toBe(root);
  expect(entries.map(({ name, kind, bytes, isModel }) => [name, kind, bytes, isModel])).toEqual([
    ['Model', 'folder', null, true], ['step-9', 'folder', null, false], ['step-10', 'folder', null, false], ['a.jsonl', 'file', 5, false], ['b.gguf', 'file', 0, true],
  ]);
  expect((await listFolder(null)).folder).toBe(homedir());
  expect((await listFolder('/')).parent).toBeNull();
});

it('says in a sentence why a folder cannot be listed or made', async () => {
  await expect(listFolder(join(root, 'none'))).rejects.toThrow(/none cannot be listed: there is no such folder: choose another place/);
  await expect(listFolder('relative')).rejects.toThrow(/relative: not a whole path/);
  expect(await makeFolder(root, ' new one ')).toBe(join(root, 'new one'));
  await expect(makeFolder(root, 'new one')).rejects.toThrow(/it is there already/);
  for (const name of ['..', 'a/b', ' ', 'a\\b', 'a\0b']) await expect(makeFolder(root, name)).rejects.toThrow(/not a folder's name/);
  const closed = join(root, 'closed');
  mkdirSync(closed);
  chmodSync(closed, 0o000);
  // root may look anywhere
  if (process.getuid?.() !== 0) await expect(listFolder(closed)).rejects.toThrow(/closed cannot be listed: you have no permission there/);
  chmodSync(closed, 0o700);
});

it('opens no dialog and no file manager where the shell has none', async () => {
  await expect(chooseFile(workbench.shell, { kind: 'file', title: 'x' })).rejects.toThrow(/in the desktop app only/);
  expect(() => revealFile(workbench.shell, root)).toThrow(/from the desktop app only/);
});

it('remembers each setting by itself', () => {
  const { library, changes } = workbench;
  expect(readSettings(library)).toMatchObject({ language: null, theme: null, quickstartHidden: false });
  saveSettings(library, changes, { theme: 'dark' });
  expect(saveSettings(library, changes, { language: 'ko' })).toMatchObject({ language: 'ko', theme: 'dark', quickstartHidden: false });
  expect(readSettings(library)).toMatchObject({ language: 'ko', theme: 'dark', quickstartHidden: false });
});

it('says what it is and what training runs on', async () => {
  const found = await about(workbench);
  expect(found).toMatchObject({ version: expect.stringMatching(/^\d+\.\d+\.\d+$/) as string, shell: { kind: 'browser', fileDialogs: false }, library: workbench.library.folder });
  expect(found.device.description).toMatch(/^native, .+, \d+ threads?$/);
  expect(found.device.memoryBytes).toBeGreaterThan(1e8);
});
