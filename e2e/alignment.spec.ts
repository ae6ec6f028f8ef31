/**
 * The whole road in the window: pairs saved in the playground train a DPO model; an SFT run from the form, whose engine dies on the way, goes on
 * and gets a DPO run of its own; base, SFT and DPO then answer side by side.
 */
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { expect, expectAccessible, test, type Workbench } from './workbench.ts';

const BASE = 'attune-base';
/** The finished small SFT run that every new library has. */
const EXAMPLE = 'example-lora';
const FINISHED = 60_000;

const status = (page: Page, word: string) => page.locator('.run-header').getByText(word, { exact: true });
const step = async (page: Page): Promise<number> => Number((await page.locator('.run-header dl div', { hasText: 'Step' }).locator('dd').innerText()).split('/')[0].replaceAll(',', ''));
const chart = (page: Page, title: string) => page.getByRole('slider', { name: `${title}: place of the cursor` });

/** Fills the Train form in and starts the run. */
async function train(page: Page, { method, name, model, dataset, fields }: { method: 'SFT' | 'DPO'; name: string; model: string; dataset: string; fields: Record<string, string> }): Promise<void> {
  await page.getByRole('link', { name: 'Train', exact: true }).click();
  await page.getByRole('radio', { name: method }).click();
  for (const [field, value] of Object.entries({ Model: model, Dataset: dataset })) {
    await page.getByRole('combobox', { name: field }).fill(value);
    await page.getByRole('option', { name: new RegExp(`^${value} `) }).click();
  }
  await page.getByText('Evaluation and saving', { exact: true }).click();
  for (const [field, value] of Object.entries({ Name: name, ...fields })) await page.getByRole('textbox', { name: field, exact: true }).fill(value);
  await page.getByRole('button', { name: 'Start training' }).click();
  await expect(page.getByRole('heading', { level: 1, name })).toBeVisible();
}

async function importRows({ page, folder, go }: Workbench, name: string, rows: object[]): Promise<void> {
  const path = join(folder, `${name}.jsonl`);
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  await go(`#/datasets/import?path=${encodeURIComponent(path)}`);
  await page.getByRole('button', { name: 'Import', exact: true }).click();
  await expect(page.getByText(`${rows.length} rows`, { exact: true })).toBeVisible();
}

/** The node of a model in the lineage, and how deep it stands. */
async function expectInLineage(workbench: Workbench, name: string, level: number): Promise<void> {
  await workbench.go(`#/library/${name}?view=lineage`);
  const node = workbench.page.getByRole('tree', { name: 'Lineage' }).getByRole('treeitem', { name: new RegExp(`^${name} `) });
  await expect(node).toHaveAttribute('aria-level', String(level));
}

test('pairs saved in the playground train a DPO model on top of an SFT run', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go(`#/playground?models=${BASE},${EXAMPLE}`);
  for (const [i, prompt] of ['What is a piano?', 'What is a horse?'].entries()) {
    await page.getByRole('textbox', { name: 'Prompt', exact: true }).fill(prompt);
    await page.keyboard.press('Enter');
    const turn = page.getByRole('region', { name: `Turn ${i + 1}`, exact: true });
    await expect(turn.getByRole('button', { name: 'Copy the answer' })).toHaveCount(2, { timeout: 60_000 });
    await page.keyboard.press('Escape');
    await page.keyboard.press(']');
    await page.keyboard.press('g');
    await page.keyboard.press('p');
    // asked for the first time only
    if (i === 0) await page.getByRole('dialog', { name: 'Where do pairs go?' }).getByRole('button', { name: 'Save' }).click();
    await expect(turn.getByRole('region', { name: 'Preference pair' }).getByRole('link', { name: 'playground-pairs' })).toBeVisible();
    await page.keyboard.press('/');
  }

  const fields = { 'Max steps': '6', 'Learning rate': '1e-4', 'Eval samples': '2' };
  await train(page, { method: 'DPO', name: 'mine', model: EXAMPLE, dataset: 'playground-pairs', fields });
  await expect(status(page, 'Finished')).toBeVisible({ timeout: FINISHED });
  for (const title of ['loss', 'rewards', 'rewards/margins', 'rewards/accuracies']) await expect(chart(page, title)).toBeVisible();
  await chart(page, 'rewards').focus();
  await page.keyboard.press('End');
  await expect(chart(page, 'rewards')).toHaveAttribute('aria-valuetext', /^step 6: .*rewards\/chosen .*rewards\/rejected /);
  await page.getByText('What healthy DPO curves look like').click();
  await expect(page.getByText('logps/chosen may fall')).toBeVisible();
  await expectAccessible(page);
  await expectInLineage(workbench, 'mine', 3);
});

test('SFT from the form outlives its engine, DPO follows, and the three answer side by side', async ({ workbench }) => {
  const { page } = workbench;
  const animals = ['cat', 'dog', 'horse', 'cow'];
  await importRows(workbench, 'animals', animals.map((name) => ({ instruction: `What is a ${name}?`, input: '', output: `A ${name} is an animal.` })));
  await importRows(workbench, 'taste', animals.map((name) => ({ prompt: `What is a ${name}?`, chosen: `A ${name} is an animal.`, rejected: `${name} ${name} ${name}` })));

  // long enough to die in the middle of it
  const steps = 120;
  const fields = { 'Max steps': String(steps), 'Learning rate': '1e-4', 'Max length': '64', 'Checkpoint every': '20', 'Eval samples': '0' };
  await train(page, { method: 'SFT', name: 'animals-sft', model: BASE, dataset: 'animals', fields });
  // the window hears of steps too late for that
  const checkpoints = join(workbench.library, 'runs', /runs\/(\d+)/.exec(page.url())![1], 'checkpoints');
  const saved = () => existsSync(checkpoints) && readdirSync(checkpoints).some((name) => /^step-\d+$/.test(name));
  await expect.poll(saved, { timeout: FINISHED, intervals: [10] }).toBe(true);
  workbench.signalEngines('SIGKILL');
  await expect(status(page, 'Interrupted')).toBeVisible();
  expect(await step(page)).toBeLessThan(steps);
  await page.getByRole('button', { name: 'Resume' }).click();
  await expect(status(page, 'Finished')).toBeVisible({ timeout: FINISHED });
  expect(await step(page)).toBe(steps);

  await train(page, { method: 'DPO', name: 'animals-dpo', model: 'animals-sft', dataset: 'taste', fields: { 'Max steps': '8', 'Max length': '64', 'Eval samples': '0' } });
  await expect(status(page, 'Finished')).toBeVisible({ timeout: FINISHED });

  await expectInLineage(workbench, 'animals-dpo', 3);
  await page.getByRole('complementary', { name: 'animals-dpo' }).getByRole('button', { name: 'Compare' }).click();
  await page.getByRole('menuitem', { name: `The whole line: ${BASE} → animals-sft → animals-dpo` }).click();
  await page.getByRole('textbox', { name: 'Prompt', exact: true }).fill('What is a cow?');
  await page.keyboard.press('Enter');
  for (const name of [BASE, 'animals-sft', 'animals-dpo']) {
    await expect(page.getByRole('article', { name: `Answer of ${name}` }).getByRole('button', { name: 'Copy the answer' })).toBeVisible({ timeout: 60_000 });
  }
  await expect(page.getByRole('article', { name: 'Answer of animals-sft' })).toContainText('A cow is an animal.');
});
