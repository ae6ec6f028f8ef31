/** A model looked into: what it is made of, a token found, its weights measured, and what training changed in a checkpoint. */
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, expectAccessible, ROOT, runCommand, test } from './workbench.ts';

test('a model is opened from its place in the library: parts, memory, attention in words, and every view by its address', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go('#/library/attune-base');
  await page.getByRole('complementary', { name: 'attune-base' }).getByRole('link', { name: 'Inspect' }).click();
  const overview = page.getByRole('region', { name: 'Overview of attune-base' });
  await expect(overview).toContainText('5,770,496');
  await expect(overview.getByRole('row', { name: /^MLP 18 3,538,944 61.3%/ })).toBeVisible();
  await expect(overview.getByRole('img', { name: /^4 query heads .* share 2 pairs of keys and values/ })).toBeVisible();
  // keys and values of 6 layers, 2 heads of 64, 512 tokens: f32 here, f16 beside
  await expect(overview.getByRole('row', { name: /^512 tokens 3.1 MB 1.6 MB/ })).toBeVisible();
  await expectAccessible(page);
  await runCommand(page, 'Vocabulary');
  await expect(page).toHaveURL(/#\/library\/attune-base\?inspect=vocabulary$/);
  await page.reload();
  await expect(page.getByRole('radio', { name: 'Vocabulary' })).toBeChecked();
});

test('a token is found by text, by its id and by its kind, and the pieces it is made of lead on', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go('#/library/attune-base?inspect=vocabulary');
  const find = page.getByRole('searchbox', { name: 'Find by text, id or 0x bytes' });
  const grid = page.getByRole('grid', { name: 'Vocabulary' });
  await expect(grid).toHaveAttribute('aria-rowcount', '4097');
  await page.keyboard.press('/');
  await page.keyboard.type('another');
  await expect(grid.getByRole('row').nth(1)).toContainText('Another');
  const token = page.getByRole('complementary', { name: /^Token / });
  await expect(token).toContainText('U+0041 U+006E');
  await token.getByRole('button', { name: 'An', exact: true }).click();
  await expect(find).toHaveValue('An');
  await find.fill('2');
  await expect(token).toContainText('<|im_end|>');
  await expect(token).toContainText('ends an answer');
  await find.fill('');
  await page.getByRole('radio', { name: /^Special/ }).click();
  await expect(grid).toHaveAttribute('aria-rowcount', '4');
  await grid.focus();
  await page.keyboard.press('End');
  await expect(token).toContainText('<|im_end|>');
  await find.fill('nothing like this');
  await page.getByRole('button', { name: 'Show all' }).click();
  await expect(grid).toHaveAttribute('aria-rowcount', '4097');
  await expectAccessible(page);
});

test('the weights are measured in the background, shown with a histogram, and still there after a reload', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go('#/library/attune-base?inspect=tensors&tensor=model.layers.3.self_attn.q_proj.weight');
  const detail = page.getByRole('complementary', { name: 'model.layers.3.self_attn.q_proj.weight' });
  await expect(detail).toContainText('256 × 256');
  await page.getByRole('button', { name: 'Measure the weights' }).click();
  await expect(detail.getByRole('img', { name: /^Histogram of the values from -0.2754 to 0.2676/ })).toBeVisible();
  await expect(page.getByText('Every weight is a finite number')).toBeVisible();
  await page.getByRole('searchbox', { name: 'Find tensors' }).fill('layers.3.self_attn');
  const grid = page.getByRole('grid', { name: 'Tensors' });
  await expect(grid).toHaveAttribute('aria-rowcount', '5');
  await grid.focus();
  await page.keyboard.press('ArrowDown');
  await expect(page.getByRole('complementary', { name: 'model.layers.3.self_attn.k_proj.weight' })).toBeVisible();
  await expectAccessible(page);
  await page.reload();
  await expect(page.getByRole('complementary', { name: 'model.layers.3.self_attn.k_proj.weight' }).getByRole('img')).toBeVisible();
});

test('a trained checkpoint is compared with what it was made from: from its run, as a map and by tensor', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go('#/runs/1?tab=checkpoints');
  await page.getByRole('button', { name: /^Actions for example-lora@/ }).first().click();
  await page.getByRole('menuitem', { name: 'What changed in the weights' }).click();
  await page.getByRole('button', { name: 'Compare the weights' }).click();
  // a LoRA on the seven linears of six layers
  await expect(page.getByText('42 of 56 tensors changed.')).toBeVisible();
  const map = page.getByRole('table', { name: 'Change by layer and module' });
  await expect(map.getByRole('row')).toHaveCount(7);
  await map.getByRole('button').filter({ hasText: '37.8%' }).click();
  const list = page.getByRole('table', { name: 'Most changed tensors' });
  await expect(list.getByRole('row')).toHaveCount(2);
  await expect(list).toContainText('model.layers.4.self_attn.o_proj.weight');
  await expectAccessible(page);
  await page.reload();
  await expect(list).toContainText('model.layers.4.self_attn.o_proj.weight');
  await page.getByRole('button', { name: /^Compared with/ }).click();
  await page.keyboard.type('example-lora');
  await page.keyboard.press('Enter');
  await expect(page.getByText('Not compared yet')).toBeVisible();
});

test('side by side in the playground leads to the weights; a folder that is gone says so, with the way to ask again', async ({ workbench }) => {
  const { page, folder } = workbench;
  await workbench.go('#/playground?models=attune-base,example-lora');
  await page.getByRole('link', { name: 'Inspect example-lora' }).click();
  await expect(page).toHaveURL(/#\/library\/example-lora\?inspect=changes&against=attune-base$/);

  const model = join(folder, 'little');
  cpSync(join(ROOT, 'resources', 'models', 'attune-base'), model, { recursive: true });
  await workbench.go(`#/library/${encodeURIComponent(model)}?inspect=overview`);
  await expect(page.getByRole('main')).toContainText('5,770,496');
  workbench.allowErrors(/400|Failed to load/);
  rmSync(model, { recursive: true });
  await page.reload();
  await expect(page.getByRole('alert')).toContainText('no model of that name');
  await expect(page.getByRole('alert').getByRole('button', { name: 'Try again' })).toBeVisible();
});
