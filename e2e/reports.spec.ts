/** A method report from a button to a page: progress, stopped and gone on with after a crash, saved as HTML; and pairs judged by a model. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, expectAccessible, test } from './workbench.ts';

test('a report is started, killed with the workbench, gone on with, and ends as one page that is saved', async ({ workbench }) => {
  test.setTimeout(240_000);
  let { page } = workbench;
  await workbench.go('#/reports');
  await expect(page.getByRole('heading', { name: 'No report yet' })).toBeVisible();
  await page.keyboard.press('n');
  const dialog = page.getByRole('dialog', { name: 'New method report' });
  await expect(dialog.getByRole('checkbox', { name: 'SFT' })).toBeDisabled();
  for (const name of ['Rejection sampling', 'PPO']) await dialog.getByRole('checkbox', { name }).click();
  await expect(dialog.getByRole('checkbox', { name: 'KTO' })).not.toBeChecked();
  await expect(dialog.getByRole('combobox', { name: 'Judge: Rule of form' })).toBeVisible();
  await dialog.getByRole('textbox', { name: 'Name' }).fill('small');
  await dialog.getByRole('textbox', { name: 'Held-out prompts' }).fill('1');
  await page.keyboard.press('Enter');
  await expect(dialog.getByRole('alert')).toContainText('2 prompts or more');
  await dialog.getByRole('textbox', { name: 'Held-out prompts' }).fill('4');
  await dialog.getByRole('textbox', { name: 'Steps of each training' }).fill('4');
  await expectAccessible(page);
  await dialog.getByRole('button', { name: 'Start' }).click();
  await expect(page).toHaveURL(/#\/reports\/1$/);
  await expect(page.getByText(/of 5 stages done/)).toBeVisible();

  // the SFT run is trained, and maybe more; then the whole workbench is gone
  await expect(page.getByText(/[1-4] of 5 stages done/)).toBeVisible({ timeout: 90_000 });
  page = await workbench.crash();
  await workbench.go('#/reports/1');
  await expect(page.getByText('This report was broken off.')).toBeVisible();
  await page.getByRole('button', { name: 'Go on' }).click();
  await expect(page.getByRole('region', { name: 'Quality' }).getByRole('rowheader')).toHaveText(['base', 'SFT', 'DPO'], { timeout: 120_000 });
  await expect(page.getByText('Done', { exact: true })).toBeVisible();
  await expect(page.getByRole('region', { name: 'Quality' }).getByText(/\d win · \d tie · \d loss/)).toHaveCount(2);
  await expect(page.getByRole('link', { name: 'small-sft', exact: true })).toBeVisible();
  await workbench.go('#/runs');
  await expect(page.getByRole('link', { name: /^small-/ })).toHaveCount(2); // what was trained before the crash is not trained again
  await workbench.go('#/reports/1');
  await expectAccessible(page);

  const file = join(workbench.folder, 'small.html');
  await page.keyboard.press('h');
  const saving = page.getByRole('dialog', { name: 'Save the report' });
  await saving.getByRole('textbox', { name: 'Folder' }).fill(workbench.folder);
  await page.keyboard.press('Enter');
  await expect(saving.getByRole('button', { name: 'library' })).toBeVisible();
  await saving.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByText(`Saved: ${file}`)).toBeVisible();
  const html = readFileSync(file, 'utf8');
  expect(html).toContain('<title>small · Method report</title>');
  expect(html).not.toMatch(/<script|src=|href=|http/); // it needs nothing else

  // on paper: the page without the rail and without buttons
  await page.emulateMedia({ media: 'print' });
  await expect(page.getByRole('navigation')).toBeHidden();
  await expect(page.getByRole('button', { name: 'Save as HTML' })).toBeHidden();
  await expect(page.getByRole('heading', { name: 'Quality' })).toBeVisible();
  expect(await page.evaluate(() => document.documentElement.scrollHeight)).toBeGreaterThan(800); // nothing is cut off at the window's edge
});

test('a model judges pairs: a judge whose labels are the place is called that, a judging can be cancelled, the labels are a dataset', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go('#/datasets/preferences');
  await page.getByRole('link', { name: 'Judge with a model' }).click();
  const dialog = page.getByRole('dialog', { name: 'Judge preferences with a model' });
  await expect(dialog.getByRole('textbox', { name: 'Rubric' })).toHaveValue(/better answer/);
  await dialog.getByRole('button', { name: 'Judge', exact: true }).click();
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await expect(page.getByText('Judging was cancelled')).toBeVisible();

  await dialog.getByRole('textbox', { name: 'New dataset' }).fill('judged');
  await dialog.getByRole('textbox', { name: 'Rows' }).fill('40');
  await expectAccessible(page);
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/#\/datasets\/judged\/judging/, { timeout: 60_000 });
  await expect(page.getByText('The place of an answer decides more of these labels than the answer does.')).toBeVisible();
  await expect(page.getByText("Cohen's kappa")).toBeVisible();
  await expectAccessible(page);
  await page.getByRole('link', { name: 'judged', exact: true }).click();
  await expect(page.getByText(/^Labels by /)).toBeVisible();
  await expect(page.getByText('40', { exact: false }).first()).toBeVisible();
});
