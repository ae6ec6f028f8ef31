/** The library: models walked through by keys, what was made from what, folders added, renamed and taken out, and the ways on from a model. */
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, expectAccessible, ROOT, test } from './workbench.ts';

test('models are walked through by keys, unfolded to their checkpoints, filtered, and shown in full', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go('#/library');
  const row = (name: string) => page.getByRole('row').filter({ has: page.locator(`th [title="${name}"]`) });
  await expect(row('attune-base')).toBeVisible();
  await expect(row('example-lora')).toContainText('LoRA r');
  await row('attune-base').focus();
  await page.keyboard.press('ArrowDown');
  const detail = page.getByRole('complementary', { name: 'example-lora' });
  await expect(detail).toContainText('attune-base');
  await expect(detail).toContainText('llama');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowDown');
  await expect(page).toHaveURL(/#\/library\/example-lora%40\d+$/);
  await expectAccessible(page);
  await page.reload();
  await expect(page.getByRole('complementary', { name: /^example-lora@\d+$/ })).toBeVisible();

  await page.keyboard.press('/');
  await expect(page.getByRole('searchbox', { name: 'Filter models' })).toBeFocused();
  await page.keyboard.type('embedded');
  await expect(row('example-lora')).toHaveCount(0);
  await page.getByRole('searchbox', { name: 'Filter models' }).fill('nothing like this');
  await page.getByRole('button', { name: 'Show all' }).click();
  await expect(row('example-lora')).toBeVisible();
});

test('the lineage is a tree that keys walk along, and leads on to training, talking and exporting', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go('#/library/attune-base?view=lineage');
  const node = (name: string) => page.getByRole('tree', { name: 'Lineage' }).getByRole('treeitem', { name: new RegExp(`^${name} `) });
  await expect(node('attune-base')).toHaveAttribute('aria-selected', 'true');
  await node('attune-base').focus();
  await page.keyboard.press('ArrowRight');
  await expect(node('example-lora')).toBeFocused();
  await expect(node('example-lora')).toHaveAttribute('aria-level', '2');
  await expectAccessible(page);

  const detail = page.getByRole('complementary', { name: 'example-lora' });
  await detail.getByRole('button', { name: 'Compare' }).click();
  await page.getByRole('menuitem', { name: 'With attune-base' }).click();
  await expect(page).toHaveURL(/#\/playground\/\d+/);
  await page.goBack();
  await detail.getByRole('link', { name: 'Train' }).click();
  await expect(page.getByRole('combobox', { name: 'Model' })).toHaveValue('example-lora');
});

test('a folder is added, another of its name under a new one, told to be gone when it is, and taken out again', async ({ workbench }) => {
  const { page, folder } = workbench;
  const model = join(folder, 'models', 'little');
  cpSync(join(ROOT, 'resources', 'models', 'attune-base'), model, { recursive: true });
  await workbench.go('#/library');
  const add = async (): Promise<void> => {
    await page.getByRole('button', { name: 'Add a model' }).click();
    const dialog = page.getByRole('dialog', { name: 'Add a model: its folder, or a GGUF file' });
    await dialog.getByRole('textbox', { name: 'Folder' }).fill(join(folder, 'models'));
    await page.keyboard.press('Enter');
    await dialog.getByRole('button', { name: /^little/ }).click();
    await dialog.getByRole('button', { name: 'Choose' }).click();
  };
  await add();
  await expect(page.getByRole('complementary', { name: 'little' })).toContainText(model);
  await add();
  await page.getByRole('dialog', { name: 'The library has a model called little' }).getByRole('button', { name: 'Add' }).click();
  await expect(page.getByRole('complementary', { name: 'little-2' })).toBeVisible();

  rmSync(model, { recursive: true });
  await page.reload();
  const detail = page.getByRole('complementary', { name: 'little-2' });
  await expect(detail.getByRole('status').first()).toContainText(model);
  await detail.getByRole('button', { name: 'Remove' }).click();
  await page.getByRole('alertdialog').getByRole('button', { name: 'Remove' }).click();
  await expect(page.getByRole('row', { name: 'little-2' })).toHaveCount(0);
});
