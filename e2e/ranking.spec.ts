/** Answers to one prompt, put in order without knowing whose they are: by keys alone, and by drag. */
import type { Page } from '@playwright/test';
import { expect, expectAccessible, test } from './workbench.ts';

const ranking = (page: Page) => page.getByRole('region', { name: 'Ranking', exact: true });
const handle = (page: Page, name: string) => ranking(page).getByRole('button', { name: `Answer ${name},` });
/** Letters from best to worst. */
const order = (page: Page) => ranking(page).getByRole('article').locator('strong');

test('answers are ranked by keys alone, blind, through a reload; the row is saved, the names told, and it is taken back', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go('#/playground');
  const rank = page.getByRole('checkbox', { name: 'Rank several answers' });
  await rank.focus();
  await page.keyboard.press('Space');
  await page.getByRole('button', { name: 'Add a column' }).press('Enter');
  await expectAccessible(page);
  await page.getByRole('button', { name: 'Start', exact: true }).press('Enter');
  await expect(page.getByText('Every prompt gets 4 answers')).toBeVisible();
  await page.keyboard.press('/');
  await page.keyboard.type('What is a piano?');
  await page.keyboard.press('Enter');
  await expect(ranking(page).getByRole('button', { name: 'Save ranking' })).toBeVisible({ timeout: 60_000 });
  await expect(page.getByRole('region', { name: 'Turn 1' })).not.toContainText('attune-base');
  await expect(page.getByRole('region', { name: 'Turn 1' })).not.toContainText('example-lora');
  await expect(order(page)).toHaveText(['A', 'B', 'C', 'D']);
  await expectAccessible(page);

  await page.keyboard.press(']');
  await expect(handle(page, 'B')).toBeFocused();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  await expect(handle(page, 'B')).toBeFocused();
  await expect(order(page)).toHaveText(['A', 'C', 'D', 'B']);
  await expect(ranking(page).getByRole('status').first()).toHaveText('Answer B is at place 4 of 4');
  await page.keyboard.press('[');
  await expect(handle(page, 'D')).toBeFocused();
  await page.keyboard.press('1');
  await expect(order(page)).toHaveText(['D', 'A', 'C', 'B']);
  await expect(handle(page, 'D')).toHaveAccessibleName('Answer D, place 1 of 4');
  await page.reload();
  await expect(handle(page, 'D')).toHaveAccessibleName('Answer D, place 1 of 4');
  await expect(order(page)).toHaveText(['D', 'A', 'C', 'B']);

  await page.keyboard.press('p');
  await expect(page.getByRole('dialog', { name: 'Where do rankings go?' })).toBeVisible();
  await expect(page.getByRole('textbox', { name: 'Name' })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(ranking(page).getByRole('link', { name: 'playground-rankings' })).toBeVisible();
  await expect(ranking(page)).toContainText('attune-base');
  await expect(ranking(page)).toContainText('example-lora');
  await expectAccessible(page);
  await page.keyboard.press('u');
  await expect(ranking(page).getByRole('button', { name: 'Save ranking to playground-rankings' })).toBeVisible();
  await page.keyboard.press('p');
  await expect(page.getByRole('status').filter({ hasText: 'Rows: 1' }).last()).toBeVisible();
  await workbench.go('#/datasets/playground-rankings');
  await expect(page.getByText('What is a piano?').first()).toBeVisible();
});

test('answers are ranked by drag; a stop leaves what was written', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go('#/playground');
  await page.getByRole('checkbox', { name: 'Rank several answers' }).check();
  await page.getByLabel('Answers for each prompt').click();
  await page.getByRole('option', { name: '3' }).click();
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await page.getByRole('textbox', { name: 'Prompt', exact: true }).fill('What is a horse?');
  await page.keyboard.press('Enter');
  await expect(ranking(page).getByRole('button', { name: 'Save ranking' })).toBeVisible({ timeout: 60_000 });
  await handle(page, 'C').dragTo(handle(page, 'A'));
  await expect(handle(page, 'C')).toHaveAccessibleName('Answer C, place 1 of 3');
  await expect(order(page)).toHaveText(['C', 'A', 'B']);
  await handle(page, 'C').dragTo(handle(page, 'B'));
  await expect(handle(page, 'C')).toHaveAccessibleName('Answer C, place 3 of 3');
  await expect(order(page)).toHaveText(['A', 'B', 'C']);
  await ranking(page).getByRole('button', { name: 'Save ranking' }).click();
  await page.getByRole('button', { name: 'Save here' }).click();
  await expect(ranking(page).getByRole('link', { name: 'playground-rankings' })).toBeVisible();

  // so hot and long that it never ends by itself
  await workbench.go(`${new URL(page.url()).hash.split('?')[0]}?panel=sampling`);
  await page.getByLabel('Temperature', { exact: true }).fill('8');
  await page.getByLabel('Most tokens').fill('400');
  await page.getByLabel('Most tokens').blur();
  await expect(page.getByRole('button', { name: 'Sampling settings' })).toContainText('400 tok');
  await page.getByRole('textbox', { name: 'Prompt', exact: true }).fill('Go on for ever.');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('progressbar', { name: /Answers written: \d of 3/ })).toBeVisible({ timeout: 60_000 });
  await page.keyboard.press('Escape');
  await expect(page.getByRole('progressbar')).toHaveCount(0);
  await expect(page.getByRole('region', { name: 'Turn 2' }).getByText('stopped').first()).toBeVisible();
});
