/**
 * A model exported and held against the original: progress, the check's numbers, the card, files that went away, and what stays after a
 * reload.
 */
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, expectAccessible, test } from './workbench.ts';

test('a run is exported as GGUF and passes its parity check; the result stays', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go('#/export?model=example-lora');
  await expect(page.getByRole('heading', { name: 'Nothing exported yet' })).toBeVisible();
  await page.getByRole('radio', { name: 'GGUF', exact: true }).click();
  await page.getByRole('radio', { name: 'q8_0' }).click();
  await expect(page).toHaveURL(/format=gguf&type=q8_0/);
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
  await page.keyboard.press('Escape');
  await page.reload();
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
