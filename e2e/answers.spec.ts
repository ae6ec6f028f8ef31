/** What an online run sampled, seen in the window: by step, with every reward's part, by score, live, and gone when its files are. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, expectAccessible, test } from './workbench.ts';

const PROMPTS = ['What is a cat?', 'What is a dog?', 'What is a horse?', 'What is a cow?'];

test('the answers of a GRPO run are browsed by step and by score while it goes on', async ({ workbench }) => {
  const { page, folder, library } = workbench;
  writeFileSync(join(folder, 'questions.jsonl'), PROMPTS.map((prompt) => `${JSON.stringify({ instruction: prompt, input: '', output: 'An animal.' })}\n`).join(''));
  const recipe = {
    method: 'grpo', name: 'short-answers', model: 'example-lora', dataset: join(folder, 'questions.jsonl'), template: 'chat', maxLength: 64, maxCompletionLength: 8, maxSteps: 6,
    perDeviceTrainBatchSize: 8, numGenerations: 4, evalRatio: 0, evalSteps: 0, evalSamples: 0,
    rewards: [{ type: 'regex', name: 'capital', pattern: '^[A-Z]' }, { type: 'length', unit: 'words', min: 1, max: 4, weight: 0.5 }],
  };
  await workbench.go('#/train');
  await page.locator('input[type=file]').setInputFiles({ name: 'grpo.yaml', mimeType: 'application/yaml', buffer: Buffer.from(JSON.stringify(recipe)) });
  await expect(page.getByRole('textbox', { name: 'Name', exact: true }).first()).toHaveValue('short-answers'); // it has been read
  await page.getByRole('button', { name: 'Start training' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'short-answers' })).toBeVisible();
  await page.getByRole('tab', { name: 'Answers' }).click();

  // the newest step is shown as it comes
  const table = (step: number) => page.getByRole('table', { name: `Answers of step ${step}`, exact: true });
  await expect(table(6)).toBeVisible({ timeout: 60_000 });
  await expect(page.locator('.run-header').getByText('Finished', { exact: true })).toBeVisible({ timeout: 60_000 });
  await expect(page.getByText('8 answers to 2 prompts')).toBeVisible();
  for (const name of ['Answer', 'capital', 'length', 'Total', 'Tokens', 'End']) await expect(table(6).getByRole('columnheader', { name, exact: true })).toBeVisible();
  await expect(table(6).getByRole('row')).toHaveCount(1 + 2 + 8);

  await page.keyboard.press('[');
  await expect(table(5)).toBeVisible();
  await page.getByRole('slider', { name: 'Step' }).press('Home');
  await expect(table(1)).toBeVisible();
  await page.getByRole('radio', { name: 'Best first' }).click();
  await expect(page).toHaveURL(/order=best/);
  await expect(table(1)).toHaveAttribute('aria-busy', 'false');
  const totals = (await table(1).locator('td.total').allInnerTexts()).map(Number);
  expect(totals).toHaveLength(8);
  for (const group of [totals.slice(0, 4), totals.slice(4)]) expect(group).toEqual([...group].sort((a, b) => b - a));
  await expectAccessible(page);
  await page.reload();
  await expect(table(1)).toBeVisible();
  await expect(page.getByRole('radio', { name: 'Best first' })).toBeChecked();

  const id = /runs\/(\d+)/.exec(page.url())![1];
  rmSync(join(library, 'runs', id, 'rollouts', 'step-000002.jsonl'));
  await page.getByRole('button', { name: 'Step after' }).click();
  workbench.allowErrors(/400/);
  await expect(page.getByRole('alert')).toContainText('step 2: its answers are gone');
  await page.getByRole('button', { name: 'Step after' }).click();
  await expect(table(3)).toBeVisible();
  await expect(page.getByRole('alert')).toHaveCount(0);
});
