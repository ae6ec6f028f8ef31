/** Rewards of a recipe written by fields: added, checked, put in order by keys and by drag, tried on an answer, and the same text as the YAML. */
import type { Locator, Page } from '@playwright/test';
import { expect, expectAccessible, test } from './workbench.ts';

const yaml = (page: Page) => page.getByRole('textbox', { name: 'Recipe as YAML' });
const rewards = (page: Page) => page.getByRole('region', { name: 'Rewards', exact: true });
const handle = (page: Page, place: number) => rewards(page).getByRole('button', { name: `Reward ${place} of` });
const types = (page: Page): Promise<string[]> => rewards(page).getByLabel(/^Type of reward/).allInnerTexts();

async function add(page: Page, type: string): Promise<void> {
  await rewards(page).getByRole('button', { name: 'Add a reward' }).click();
  await page.getByRole('menuitem', { name: type }).click();
}

async function dragByFinger(page: Page, from: Locator, to: Locator): Promise<void> {
  await to.scrollIntoViewIfNeeded();
  const middle = async (of: Locator): Promise<{ x: number; y: number }> => {
    const { x, y, width, height } = (await of.boundingBox())!;
    return { x: x + width / 2, y: y + height / 2 };
  };
  const [start, end] = [await middle(from), await middle(to)];
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: [start] });
  await cdp.send('Input.dispatchTouchEvent', { type: 'touchMove', touchPoints: [{ x: start.x, y: (start.y + end.y) / 2 }] });
  await cdp.send('Input.dispatchTouchEvent', { type: 'touchMove', touchPoints: [end] });
  await cdp.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] });
  await cdp.detach();
}

test('rewards are written by fields, checked, ordered, tried on an answer, and stay one text with the YAML', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go('#/train?method=grpo&model=attune-base&dataset=instructions');
  await add(page, 'Regular expression');
  await rewards(page).getByLabel('Pattern').fill('(');
  await expect(rewards(page).getByRole('alert')).toHaveText(/Unterminated group/);
  await rewards(page).getByText('Try them on an answer').click();
  await expect(rewards(page)).toContainText('Mend the rewards first.');
  await rewards(page).getByLabel('Pattern').fill('^[A-Z].*\\.$');
  await expect(rewards(page).getByRole('alert')).toHaveCount(0);

  await add(page, 'Length');
  await rewards(page).getByLabel('Max').fill('4');
  await rewards(page).getByLabel('Unit').click();
  await page.getByRole('option', { name: 'words' }).click();
  await rewards(page).getByLabel('Weight').nth(1).fill('0.5');
  await add(page, 'JavaScript function');
  await rewards(page).getByLabel('Code').fill('({ completion, expected }) => {\n  return completion === expected ? 1 : 0;\n}');
  await expectAccessible(page);

  await rewards(page).getByLabel('Prompt').fill('What is an ox?');
  await rewards(page).getByLabel("The row's own answer").fill('An ox eats.');
  await rewards(page).getByLabel('Answer to score').fill('An ox eats grass and hay all day.');
  await rewards(page).getByRole('button', { name: 'Score' }).click();
  // 8 words where 4 may be: 2 − 8 / 4
  await expect(rewards(page).getByRole('row')).toHaveText(['RewardScoreWeightCounts', 'regex111', 'length00.50000', 'function010', 'Sum1'], { timeout: 30_000 });
  await rewards(page).getByLabel('Answer to score').fill('An ox eats.');
  await rewards(page).getByRole('button', { name: 'Score' }).click();
  await expect(rewards(page).getByRole('row').last()).toHaveText('Sum2.500', { timeout: 30_000 });
  await rewards(page).getByLabel('Code').fill('() => nothing');
  await rewards(page).getByRole('button', { name: 'Score' }).click();
  await expect(rewards(page).getByRole('alert')).toContainText('reward function: nothing is not defined', { timeout: 30_000 });

  await handle(page, 3).focus();
  await page.keyboard.press('Home');
  await expect(handle(page, 1)).toBeFocused();
  await expect.poll(() => types(page)).toEqual(['JavaScript function', 'Regular expression', 'Length']);
  await handle(page, 1).dragTo(handle(page, 2));
  await expect.poll(() => types(page)).toEqual(['Regular expression', 'JavaScript function', 'Length']);
  await dragByFinger(page, handle(page, 2), handle(page, 3));
  await expect.poll(() => types(page)).toEqual(['Regular expression', 'Length', 'JavaScript function']);
  await rewards(page).getByRole('button', { name: 'Take out reward 3' }).click();

  const gold = page.getByRole('region', { name: 'Gold reward' });
  await gold.getByLabel('Gold reward: None').click();
  await page.getByRole('option', { name: 'Exact answer' }).click();
  await gold.getByRole('checkbox', { name: 'Ignore case' }).check();

  await page.getByRole('radio', { name: 'YAML' }).click();
  await expect(yaml(page)).toHaveText(/rewards:\s*- type: regex\s*pattern: .*\s*- type: length\s*max: 4\s*unit: words\s*weight: 0\.5\s*goldReward:\s*type: exact\s*ignoreCase: true/);
  await page.getByText('- type: regex').click();
  await page.keyboard.press('End');
  await page.keyboard.type(' # whole sentences');
  await page.getByRole('radio', { name: 'Form' }).click();
  await rewards(page).getByLabel('Type of reward 1').click();
  await page.getByRole('option', { name: 'Exact answer' }).click();
  await handle(page, 1).focus();
  await page.keyboard.press('ArrowDown');
  await page.getByRole('radio', { name: 'YAML' }).click();
  await expect(yaml(page)).toHaveText(/rewards:\s*- type: length\s*max: 4\s*unit: words\s*weight: 0\.5\s*- type: exact # whole sentences\s*pattern: /);
});
