/** Writing a recipe: as a form and as YAML, told what is wrong where it is wrong, estimated, started, queued, and copied from a run. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { expect, expectAccessible, test } from './workbench.ts';

const yaml = (page: Page) => page.getByRole('textbox', { name: 'Recipe as YAML' });
const start = (page: Page) => page.getByRole('button', { name: /^(Start training|Queue as number)/ });
const show = (page: Page, view: 'Form' | 'YAML') => page.getByRole('radio', { name: view }).click();

async function choose(page: Page, field: 'Model' | 'Dataset', name: string): Promise<void> {
  await page.getByRole('combobox', { name: field }).fill(name);
  await page.getByRole('option', { name: new RegExp(`^${name} `) }).click();
}

test('a recipe is filled in, checked as one types, estimated, and kept over a reload', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go('#/train');
  await expect(page.getByText('Choose a model and a dataset to see')).toBeVisible();
  await page.keyboard.press('Control+Enter');
  await expect(page.getByText('Still missing')).toHaveCount(2);
  await expect(page.getByRole('combobox', { name: 'Model' })).toBeFocused();
  await choose(page, 'Model', 'attune-base');
  await choose(page, 'Dataset', 'instructions');
  const estimate = page.getByRole('region', { name: 'What it takes' });
  await expect(estimate).toContainText('tokens/s', { timeout: 60_000 });
  await expect(estimate).toContainText('5.8 M 100%');

  const rate = page.getByRole('textbox', { name: 'Learning rate' });
  await rate.fill('2');
  await expect(page.getByText('Must be 1 or less')).toBeVisible();
  await expect(estimate).toContainText('as last readable');
  await rate.fill('5e-4');
  await page.getByRole('textbox', { name: 'Max steps' }).fill('7');
  await page.getByRole('radio', { name: 'On', exact: true }).click();
  await page.getByRole('textbox', { name: 'LoRA rank (r)' }).fill('4');
  await expect(estimate.getByText('Steps').locator('+ dd')).toHaveText('7');
  await expect(estimate).not.toContainText('5.8 M 100%');
  await expectAccessible(page);

  // the draft is kept a moment after the last change: until another window begins with it
  const second = await workbench.openWindow();
  await second.evaluate(() => void (location.hash = '#/train?view=yaml'));
  await expect(async () => {
    await second.reload();
    await expect(yaml(second)).toHaveText(/method: sft\s*model: attune-base\s*dataset: instructions\s*maxSteps: 7\s*optimizer:\s*learningRate: 5e-4\s*lora:\s*r: 4/, { timeout: 5000 });
  }).toPass({ timeout: 30_000 });
  await page.reload();
  await expect(rate).toHaveValue('5e-4');
  await expect(page.getByRole('textbox', { name: 'LoRA rank (r)' })).toHaveValue('4');
  await page.getByRole('button', { name: 'Set Learning rate back to its default' }).click();
  await expect(rate).toHaveValue('2e-5');
});

test('what cannot fit says so, and one press changes the recipe to what would', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go('#/train?method=grpo&model=attune-base&dataset=instructions&view=yaml');
  await yaml(page).click();
  await page.keyboard.press('Control+End');
  await page.keyboard.type('perDeviceTrainBatchSize: 65536\nnumGenerations: 8\nmaxCompletionLength: 4096\nmaxLength: 8192\nrewards: [{type: length, unit: words, min: 1, max: 9}]\n');
  const estimate = page.getByRole('region', { name: 'What it takes' });
  await expect(estimate).toContainText('it may not fit', { timeout: 60_000 });
  const fit = estimate.getByRole('button', { name: /perDeviceTrainBatchSize: \d+, gradientAccumulationSteps: \d+/ }).first();
  await fit.click({ timeout: 120_000 });
  await expect(yaml(page)).toContainText(/gradientAccumulationSteps: \d{2,}/);
  await expect(estimate).not.toContainText('it may not fit', { timeout: 60_000 });
});

test('form and YAML are one text: comments stay, mistakes are underlined at their line, methods keep their own', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go('#/train?method=dpo&model=attune-base&dataset=preferences&view=yaml');
  await yaml(page).click();
  await page.keyboard.press('Control+End');
  await page.keyboard.type('beta: 0 # strong\nlearning_rate: 1\n');
  const problems = page.getByRole('list', { name: 'Problems' });
  await expect(problems).toContainText('line 4beta: Must be more than 0');
  await expect(problems).toContainText('line 5There is no field “learning_rate”; did you mean optimizer.learningRate?');
  await expect(yaml(page).locator('.cm-lintRange-error')).toHaveText(['0', 'learning_rate']);
  await expectAccessible(page);

  await show(page, 'Form');
  await expect(page.getByRole('alert').filter({ hasText: 'learning_rate' })).toBeVisible();
  await page.getByRole('textbox', { name: 'Beta' }).fill('0.3');
  await page.getByRole('button', { name: 'Mend it' }).click();
  await expect(yaml(page)).toContainText('beta: 0.3 # strong');
  await problems.getByRole('button', { name: /learning_rate/ }).click();
  await page.keyboard.press('Control+Shift+K');
  await expect(problems.getByRole('listitem')).toHaveCount(0);

  await page.getByRole('radio', { name: 'SFT' }).click();
  await expect(yaml(page)).not.toContainText('beta');
  await expect(yaml(page)).not.toContainText('preferences');
  await page.getByRole('radio', { name: 'DPO' }).click();
  await expect(yaml(page)).toContainText('beta: 0.3');
  await expect(yaml(page)).toContainText('preferences');

  await page.keyboard.press('Control+a');
  await yaml(page).click();
  await page.keyboard.press('Control+a');
  await page.keyboard.type('beta: [');
  await show(page, 'Form');
  await expect(page.getByText("not readable as YAML, so the form cannot show it")).toBeVisible();
});

test('a run is started, a second one queued behind it, and its recipe copied and opened from a file', async ({ workbench }) => {
  const { page, folder } = workbench;
  await workbench.go('#/train?method=sft&model=attune-base&dataset=instructions');
  await page.getByRole('textbox', { name: 'Name' }).fill('long');
  await page.getByRole('textbox', { name: 'Learning rate' }).fill('3e-4');
  await start(page).click();
  await expect(page).toHaveURL(/#\/runs\/\d+$/);
  const run = page.url().match(/runs\/(\d+)$/)![1];

  await workbench.go(`#/train?from=${run}&view=yaml`);
  await expect(yaml(page)).toHaveText(/^method: sft\s*model: attune-base\s*dataset: instructions\s*optimizer:\s*learningRate: 3e-4\s*$/);
  await expect(start(page)).toHaveText('Queue as number 1');
  await page.keyboard.press('Control+Enter');
  await expect(page).toHaveURL(/#\/runs\/\d+$/);
  expect(page.url()).not.toMatch(new RegExp(`runs/${run}$`));

  await workbench.go('#/train');
  await expect(start(page)).toHaveText('Queue as number 2');
  const file = join(folder, 'mine.yaml');
  writeFileSync(file, '# mine\nmethod: sft\nmodel: attune-base\ndataset: instructions\nseed: 7\n');
  await page.locator('input[type=file]').setInputFiles(file);
  await page.getByText('Data', { exact: true }).click();
  await expect(page.getByRole('textbox', { name: 'Seed' })).toHaveValue('7');
  const saved = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Recipe' }).click();
  await page.getByRole('menuitem', { name: 'Save as YAML' }).click();
  expect((await saved).suggestedFilename()).toBe('attune-base-sft.yaml');
});
