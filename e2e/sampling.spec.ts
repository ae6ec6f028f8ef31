/** How answers are sampled, and what may be seen of it: presets, beams, filters before and after, what if, token by token, best of N, consistency. */
import type { Page } from '@playwright/test';
import { expect, expectAccessible, test } from './workbench.ts';

const TUNED = 'example-lora';
const answers = (page: Page) => page.getByRole('region', { name: 'Turn 1', exact: true }).getByRole('article');

async function ask(page: Page, prompt: string, columns = 1): Promise<void> {
  await page.getByRole('textbox', { name: 'Prompt', exact: true }).first().fill(prompt);
  await page.keyboard.press('Enter');
  await expect(answers(page).getByRole('button', { name: 'Copy the answer' })).toHaveCount(columns, { timeout: 60_000 });
}

test('settings are kept for a model and used again, beams among them', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go(`#/playground?model=${TUNED}&panel=sampling`);
  const panel = page.getByRole('complementary', { name: 'Sampling' });
  await panel.getByText('Beam search').click();
  await panel.getByRole('textbox', { name: 'Beams', exact: true }).fill('3');
  await panel.getByRole('textbox', { name: 'Beams', exact: true }).blur();
  await ask(page, 'What is a piano?');
  await panel.getByRole('button', { name: 'Presets' }).click();
  await page.getByRole('menuitem', { name: 'Keep these settings…' }).click();
  await page.getByRole('textbox', { name: 'Name' }).fill('three beams');
  await page.keyboard.press('Enter');
  await expect(panel.getByRole('button', { name: 'Preset: three beams' })).toBeVisible();
  await panel.getByRole('button', { name: 'Back to defaults' }).click();
  await panel.getByRole('button', { name: 'Presets' }).click();
  await page.getByRole('menuitem', { name: 'three beams' }).click();
  await expect(panel.getByRole('textbox', { name: 'Beams', exact: true })).toHaveValue('3');
  await expectAccessible(page);
});

test('a place is seen before and after each filter, and another token goes on in a new conversation', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go(`#/playground?model=${TUNED}`);
  await ask(page, 'What does the word prostrate mean?');
  await page.keyboard.press('Escape');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Escape');
  const panel = page.getByRole('complementary', { name: 'Token' });
  await panel.getByRole('button', { name: 'Before and after each filter' }).click();
  const filters = panel.getByRole('table', { name: 'What each filter leaves' });
  await expect(filters.getByRole('columnheader', { name: 'Model' })).toBeVisible();
  await expect(filters.getByRole('row')).toHaveCount(13); // a head, ten tokens, tokens left, entropy
  await expectAccessible(page);
  const first = await answers(page).first().locator('[data-token]').allInnerTexts();
  await panel.getByRole('button', { name: /^What if / }).first().click();
  await expect(answers(page).getByRole('button', { name: 'Copy the answer' })).toHaveCount(2, { timeout: 60_000 });
  expect(await answers(page).first().locator('[data-token]').allInnerTexts()).toEqual(first);
  await expect(page.getByRole('heading', { level: 1 })).toContainText('→');
});

test('an answer is read token by token, beside another checkpoint', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go(`#/playground?model=${TUNED}`);
  await ask(page, 'What is a piano?');
  await answers(page).hover();
  await answers(page).getByRole('button', { name: `Read the answer of ${TUNED} token by token` }).click();
  const dialog = page.getByRole('dialog');
  await expect(dialog.getByRole('region', { name: TUNED })).toContainText('Perplexity of the prompt');
  await dialog.getByLabel(/^Beside: /).click();
  await page.getByRole('option', { name: 'attune-base' }).click();
  await expect(dialog.getByRole('region', { name: 'attune-base' })).toContainText('Perplexity of the prompt', { timeout: 60_000 });
  await expect(dialog).toContainText('would have gone on differently');
  await expectAccessible(page);
});

test('the best of N is chosen by weighted rewards and by a weighted vote, and consistency asked; all are kept', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go(`#/playground?model=${TUNED}&panel=many`);
  const panel = page.getByRole('complementary', { name: 'Many' });
  await panel.getByRole('textbox', { name: 'Prompt' }).fill('What is a piano?');
  await panel.getByRole('textbox', { name: 'Answers', exact: true }).fill('4');
  await panel.getByLabel(/^Chosen by: /).click();
  await page.getByRole('option', { name: 'Several, by weight' }).click();
  await expect(panel.getByRole('button', { name: 'Ask' })).toBeDisabled();
  for (const number of [1, 2]) {
    await panel.getByRole('button', { name: 'Add a reward' }).click();
    await panel.getByLabel(`Reward ${number}: `).click();
    await page.getByRole('option', { name: number === 1 ? 'A check of your own' : 'A match of a pattern' }).click();
  }
  await panel.getByRole('textbox', { name: 'A match of a pattern' }).fill('[a-z]');
  await panel.getByRole('textbox', { name: 'Weight of reward 2' }).fill('0.5');
  await expectAccessible(page);
  await panel.getByRole('button', { name: 'Ask' }).click();
  const dialog = page.getByRole('dialog');
  await expect(dialog.getByRole('table', { name: 'Score against N' }).getByRole('row')).toHaveCount(4, { timeout: 60_000 }); // a head, and 1, 2 and 4
  await expect(dialog.getByRole('listitem')).toHaveCount(4);
  await expect(dialog.getByText('Chosen', { exact: true })).toHaveCount(1);
  await expect(dialog.getByText(/Reward [\d.]+ \(function [\d.]+, regex [\d.]+\)/)).toHaveCount(4);
  await expectAccessible(page);
  await page.keyboard.press('Escape');

  await panel.getByLabel(/^Chosen by: /).click();
  await page.getByRole('option', { name: 'Majority vote' }).click();
  await panel.getByLabel(/^A vote weighs: /).click();
  await page.getByRole('option', { name: 'Its rewards' }).click();
  await panel.getByRole('button', { name: 'Ask' }).click();
  await expect(dialog.getByText(/says “.*” \(weighs [\d.]+\)/s)).toHaveCount(4, { timeout: 60_000 });
  await page.keyboard.press('Escape');

  await panel.getByRole('radio', { name: 'Consistency' }).click();
  await panel.getByRole('textbox', { name: 'Answers to each prompt' }).fill('2');
  for (const kind of ['Punctuation', 'Blanks', 'Synonyms of a list']) await panel.getByRole('checkbox', { name: kind }).click();
  await panel.getByRole('button', { name: 'Ask' }).click();
  await expect(dialog.getByRole('table', { name: 'Consistency' }).getByRole('row')).toHaveCount(5, { timeout: 60_000 }); // a head, the prompt, two of its cases, all
  await expectAccessible(page);
  await page.keyboard.press('Escape');
  await expect(panel.getByRole('list', { name: 'Reports' }).getByRole('listitem')).toHaveCount(3);
});
