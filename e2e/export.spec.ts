/**
 * A model exported and held against the original: progress, the check's numbers, the card, files that went away, and what stays after a
 * reload.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, expectAccessible, NODE, ROOT, test } from './workbench.ts';

test('a run is exported as GGUF and passes its parity check; the result stays', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go('#/export?model=example-lora');
  await expect(page.getByRole('heading', { name: 'Nothing exported yet' })).toBeVisible();
  await page.getByRole('radio', { name: 'GGUF', exact: true }).click();
  await page.getByRole('radio', { name: 'q8_0' }).click();
  await expect(page).toHaveURL(/format=gguf&type=q8_0/);
  await page.getByText('About', { exact: true }).click();
  await page.getByRole('textbox', { name: 'Author' }).fill('A. Person');
  await page.getByRole('textbox', { name: 'Licence' }).fill('apache-2.0');
  const folder = join(workbench.folder, 'out');
  await page.getByRole('textbox', { name: 'Folder' }).fill(folder);
  await page.getByRole('button', { name: 'Export', exact: true }).click();

  const made = page.getByRole('article', { name: 'example-lora, GGUF q8_0' });
  await expect(made).toContainText('Parity passed', { timeout: 90_000 });
  expect(readdirSync(folder).some((name) => name.endsWith('.gguf') && statSync(join(folder, name)).size > 1e6)).toBe(true);
  await made.getByRole('button', { name: 'example-lora' }).first().click();
  await expect(made).toContainText('Passed: what was written answers as the model does.');
  await expect(made).toContainText(/Prompts answered the same\s*\d+ of \d+/);
  await expect(made).toContainText('Expected of q8_0');
  await expectAccessible(page);

  await made.getByRole('button', { name: 'Model card', exact: true }).click();
  await expect(page.getByRole('dialog')).toContainText('example-lora');
  await expect(page.getByRole('dialog')).toContainText('license: apache-2.0');
  await expect(page.getByRole('dialog')).toContainText('author: A. Person');
  await page.keyboard.press('Escape');
  await page.reload();
  // who one is stays for the next, a licence does not
  await expect(page.getByRole('group').filter({ hasText: 'About' })).toContainText('A. Person');
  await expect(page.getByRole('group').filter({ hasText: 'About' })).not.toContainText('apache-2.0');
  await expect(made).toContainText('Passed: what was written answers as the model does.');

  // again into the same folder: refused in a sentence
  await page.getByRole('textbox', { name: 'Folder' }).fill(folder);
  await page.getByRole('button', { name: 'Export', exact: true }).click();
  await expect(page.getByRole('alert')).toContainText('not empty');

  rmSync(folder, { recursive: true });
  await page.reload();
  await expect(made).toContainText('Files are gone');
  await made.getByRole('button', { name: 'Actions for the export of example-lora' }).click();
  await page.getByRole('menuitem', { name: 'Take off the list' }).click();
  await page.getByRole('alertdialog').getByRole('button', { name: 'Take off the list' }).click();
  await expect(page.getByRole('heading', { name: 'Nothing exported yet' })).toBeVisible();
});

test('an adapter can be exported alone, a model with weights of its own cannot', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go('#/export?model=attune-base');
  await expect(page.getByRole('radio', { name: 'GGUF', exact: true })).toBeVisible();
  await expect(page.getByRole('radio', { name: 'PEFT adapter' })).toHaveCount(0);
  await workbench.go('#/export?model=example-lora');
  await page.getByRole('radio', { name: 'PEFT adapter' }).click();
  await page.getByRole('button', { name: 'Export', exact: true }).click();
  await expect(page.getByRole('article', { name: 'example-lora, PEFT adapter' })).toContainText('Parity passed', { timeout: 90_000 });
});

test('an export that was cut off is offered again: it goes on to the same file, or is discarded', async ({ workbench }) => {
  const cutOff = (out: string) => {
    const { status, signal } = spawnSync(NODE, ['--disable-warning=ExperimentalWarning', join(ROOT, 'src', 'main', 'cli.ts'), 'export', 'attune-base', '--format', 'gguf', '--type', 'q4_k_m', '--out', out, '--no-check'], {
      env: { ...process.env, ATTUNE_HOME: workbench.library, NODE_OPTIONS: `--import ${pathToFileURL(join(ROOT, 'e2e', 'kill-at-tensor.mjs')).href}`, KILL_AT_TENSOR: '7', POWER_CUT: '1' },
    });
    expect({ status, signal }).toEqual({ status: null, signal: 'SIGKILL' });
  };
  const folder = join(workbench.folder, 'cut');
  cutOff(folder);
  cutOff(join(workbench.folder, 'unwanted'));
  const { page } = workbench;
  await workbench.go('#/export?model=attune-base');
  const unfinished = page.getByRole('article', { name: 'Unfinished export of attune-base, GGUF q4_k_m' });
  await expect(unfinished).toHaveCount(2);
  const [unwanted, wanted] = [unfinished.filter({ hasText: 'unwanted' }), unfinished.filter({ hasText: folder })];
  await expect(wanted).toContainText(/7 of \d+ tensors/);
  await expectAccessible(page);

  await unwanted.getByRole('button', { name: 'Discard' }).click();
  await page.getByRole('alertdialog').getByRole('button', { name: 'Discard' }).click();
  await expect(unfinished).toHaveCount(1);
  await wanted.getByRole('button', { name: 'Go on' }).click();
  await expect(page.getByRole('article', { name: 'attune-base, GGUF q4_k_m', exact: true })).toContainText('Parity passed', { timeout: 90_000 });
  await expect(unfinished).toHaveCount(0);
  expect(readdirSync(folder).sort()).toEqual(['README.md', expect.stringMatching(/\.gguf$/)]);
  expect(readdirSync(workbench.folder).filter((name) => name.endsWith('.unfinished'))).toEqual([]);
});
