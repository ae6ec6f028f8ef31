/** Talking with checkpoints: compared side by side, looked at token by token, judged into preference pairs and blind votes. */
import type { Page } from '@playwright/test';
import { expect, expectAccessible, runCommand, test, type Workbench } from './workbench.ts';

/** The base and the small run that every new library has; sampled by the same seed, they answer differently. */
const BASE = 'attune-base';
const TUNED = 'example-lora';

async function ask(page: Page, prompt: string): Promise<void> {
  await page.getByRole('textbox', { name: 'Prompt', exact: true }).fill(prompt);
  await page.keyboard.press('Enter');
}
const turn = (page: Page, number: number) => page.getByRole('region', { name: `Turn ${number}`, exact: true });
const answers = (page: Page, number: number) => turn(page, number).getByRole('article');
/** All answers of a turn are there. */
async function answered(page: Page, number: number, columns: number): Promise<void> {
  await expect(turn(page, number).getByRole('button', { name: 'Copy the answer' })).toHaveCount(columns, { timeout: 60_000 });
}

/** An answer as long as can be (hot enough never to end its turn) is under way, and its first tokens are seen. */
async function askForEver({ page }: Workbench): Promise<void> {
  await page.getByLabel('Temperature', { exact: true }).fill('10');
  await page.getByLabel('Most tokens').fill('400');
  await page.getByLabel('Most tokens').blur();
  await expect(page.getByRole('button', { name: 'Sampling settings' })).toContainText('400 tok');
  await ask(page, 'Go on for ever.');
  await answers(page, 1).first().locator('[data-token="5"]').waitFor({ state: 'attached', timeout: 60_000 });
}

test('a new conversation compares two models: one prompt, two answers, differing words marked', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go('#/playground');
  await page.getByRole('button', { name: 'Model of column 1' }).click();
  await expect(page.getByRole('combobox', { name: 'Model of column 1' })).toBeFocused();
  await page.keyboard.type('base');
  await expect(page.getByRole('option', { selected: true })).toContainText(BASE);
  await page.keyboard.press('Enter');
  await expect(page.getByRole('button', { name: `Model of column 1: ${BASE}` })).toBeVisible();
  await page.getByRole('button', { name: 'Add a column' }).click();
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await ask(page, 'What is a piano?');
  await answered(page, 1, 2);
  for (const name of [BASE, TUNED]) await expect(page.getByRole('article', { name: `Answer of ${name}` })).toBeVisible();
  await expect(page.getByRole('navigation', { name: 'Conversations' })).toContainText('What is a piano?');
  await expect(turn(page, 1).locator('mark').first()).toBeVisible();
  await page.keyboard.press('Escape');
  await page.keyboard.press('d');
  await expect(turn(page, 1).locator('mark')).toHaveCount(0);
  await expectAccessible(page);
});

test('a token shows its alternatives, by keys and by pointer, and stays pinned', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go(`#/playground?model=${TUNED}`);
  await ask(page, 'What does the word prostrate mean?');
  await answered(page, 1, 1);
  await page.keyboard.press('Escape');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowRight');
  await expect(page.getByRole('tooltip')).toContainText('Log-probability');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Escape');
  await expect(page.getByRole('tooltip')).toBeHidden();
  const panel = page.getByRole('complementary', { name: 'Token' });
  await expect(panel.getByRole('row')).not.toHaveCount(0);
  await page.keyboard.press('c');
  await expect(panel.getByRole('checkbox', { name: 'Colour tokens' })).toBeChecked();
  await turn(page, 1).locator('[data-token="0"]').hover();
  await expect(page.getByRole('tooltip')).toBeVisible();
  await expectAccessible(page);
});

test('a reload in the middle of an answer shows it and goes on; it can be stopped, edited and sent again', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go(`#/playground?models=${BASE},${TUNED}&panel=sampling`);
  // held still, so that the reload surely falls into the middle
  await askForEver(workbench);
  workbench.signalEngines('SIGSTOP');
  await expect(page.getByRole('button', { name: 'Stop' })).toBeVisible();
  await page.reload();
  await expect(answers(page, 1).first().locator('[data-token="5"]')).toBeAttached();
  const stop = page.getByRole('button', { name: 'Stop' });
  await expect(stop).toBeVisible();
  const other = await workbench.openWindow();
  await other.evaluate((to) => void (location.hash = to), new URL(page.url()).hash);
  await expect(answers(other, 1).first().locator('[data-token="5"]')).toBeAttached();
  const tokens = await answers(page, 1).first().locator('[data-token]').count();
  workbench.signalEngines('SIGCONT');
  await expect(answers(page, 1).first().locator(`[data-token="${tokens + 5}"]`)).toBeAttached();
  // by its key, since an answer that has just ended has no button to stop it
  await page.keyboard.press('Escape');
  await expect(page.getByRole('button', { name: 'Send' })).toBeVisible();
  await expect(other.getByRole('button', { name: 'Send' })).toBeVisible();
  await turn(page, 1).getByRole('button', { name: 'Edit the prompt' }).click();
  await page.keyboard.press('ControlOrMeta+a');
  await page.keyboard.type('What is a horse?');
  await page.keyboard.press('Enter');
  await expect(turn(page, 1)).toContainText('What is a horse?');
  await expect(turn(other, 1)).toContainText('What is a horse?');
});

test('a good and a bad answer become a preference pair with one key', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go(`#/playground?models=${BASE},${TUNED}`);
  await ask(page, 'What is a piano?');
  await answered(page, 1, 2);
  await page.keyboard.press('Escape');
  await page.keyboard.press(']');
  await page.keyboard.press('g');
  const pair = page.getByRole('region', { name: 'Preference pair' });
  await expect(pair).toContainText(`Chosen ${TUNED}`);
  await expect(pair).toContainText(`Rejected ${BASE}`);
  await page.keyboard.press('p');
  await expect(page.getByRole('dialog', { name: 'Where do pairs go?' })).toBeVisible();
  await expect(page.getByRole('textbox', { name: 'Name' })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(pair.getByRole('link', { name: 'playground-pairs' })).toBeVisible();
  // a text written by hand is the better one; the dataset is not asked for again
  await answers(page, 1).first().getByRole('button', { name: 'Write a better answer' }).click();
  await page.getByRole('textbox', { name: 'The better answer' }).fill('A piano is an instrument.');
  await page.getByRole('button', { name: 'Use as the good one' }).click();
  await pair.getByRole('button', { name: 'Save pair to playground-pairs' }).click();
  await expect(page.getByRole('status').filter({ hasText: 'Rows: 2' })).toBeVisible();
  await workbench.go('#/datasets');
  await expect(page.getByText('playground-pairs').first()).toBeVisible();
});

test('a blind vote by keys: no names before it, names and score after it', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go('#/playground');
  await page.getByRole('button', { name: 'Add a column' }).click();
  await page.getByRole('checkbox', { name: 'Blind vote' }).check();
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await ask(page, 'What is a horse?');
  const vote = page.getByRole('region', { name: 'Vote' });
  await expect(vote).toBeVisible({ timeout: 60_000 });
  await expect(turn(page, 1)).not.toContainText(BASE);
  await expect(turn(page, 1)).not.toContainText(TUNED);
  await expectAccessible(page);
  await page.keyboard.press('Shift+6');
  await page.keyboard.press('2');
  await expect(turn(page, 1)).toContainText(BASE);
  await expect(turn(page, 1)).toContainText(TUNED);
  await expect(answers(page, 1).nth(1)).toContainText('Best');
  // the vote gives the pen back
  await expect(page.getByRole('textbox', { name: 'Prompt', exact: true })).toBeFocused();
  await page.keyboard.press('Escape');
  await page.keyboard.press('v');
  const votes = page.getByRole('complementary', { name: 'Votes' });
  await expect(votes.getByRole('list', { name: 'Scores' })).toContainText('95 % interval');
  await expect(votes).toContainText('What is a horse?');
  await page.reload();
  await expect(answers(page, 1).nth(1)).toContainText('Best');
  await expectAccessible(page);
});

test('an engine that dies leaves a sentence and a way to try again', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go(`#/playground?model=${BASE}&panel=sampling`);
  await askForEver(workbench);
  workbench.signalEngines('SIGKILL');
  await expect(answers(page, 1).getByRole('alert')).toBeVisible();
  await answers(page, 1).getByRole('button', { name: 'Try again' }).click();
  await answered(page, 1, 1);
});

test('the first start shows a project that is there already, put away and found again', async ({ workbench }) => {
  const { page } = workbench;
  const project = page.getByRole('region', { name: 'Your first project' });
  await expect(project.getByRole('link', { name: BASE })).toBeVisible({ timeout: 30_000 });
  await expect(project.getByRole('link', { name: 'instructions' })).toBeVisible({ timeout: 30_000 });
  await expect(project.getByRole('link', { name: 'preferences' })).toBeVisible();
  await expect(project.getByRole('listitem').filter({ hasText: 'Finished run' }).getByRole('link')).toHaveAttribute('href', /#\/runs\/\d+/);
  await project.getByRole('button', { name: 'Run SFT' }).click();
  await expect(project.getByRole('img', { name: 'Loss so far' })).toBeVisible({ timeout: 60_000 });
  await page.reload();
  await expect(project.getByRole('img', { name: 'Loss so far' })).toBeVisible();
  await expectAccessible(page);
  await project.getByRole('button', { name: 'Stop' }).click();
  await expect(project.getByRole('button', { name: 'Go on' })).toBeVisible({ timeout: 30_000 });
  await project.getByRole('button', { name: 'Put away' }).click();
  await expect(project).toBeHidden();
  await runCommand(page, 'quickstart');
  await expect(project).toBeVisible();
});
