/**
 * Training watched: live, paused, resumed, killed and resumed again, stopped and kept; curves read off and looked at in several ways; the
 * queue; deletion.
 */
import { readFile } from 'node:fs/promises';
import type { Page } from '@playwright/test';
import { expect, expectAccessible, test, type Workbench } from './workbench.ts';

/** The finished small run that every new library has. */
const EXAMPLE = 'example-lora';

/** Small steps, many of them: something happens all the time, and nothing takes long. */
const recipe = (name: string, steps: number): string =>
  `method: sft
name: ${name}
model: attune-base
dataset: instructions
maxLength: 64
perDeviceTrainBatchSize: 1
maxSteps: ${steps}
evalRatio: 0
evalSteps: 0
evalSamples: 2
saveSteps: 20
optimizer:
  learningRate: 1.0e-4
`;

async function startTraining(workbench: Workbench, name: string, steps: number): Promise<void> {
  const { page } = workbench;
  await workbench.go('#/train');
  await expect(page.getByRole('button', { name: /Start training|Queue as/ })).toBeVisible();
  const file = { name: `${name}.yaml`, mimeType: 'application/yaml', buffer: Buffer.from(recipe(name, steps)) };
  await page.locator('input[type=file]').setInputFiles(file);
  await expect(page.getByRole('textbox', { name: 'Name', exact: true })).toHaveValue(name); // it has been read
  await page.getByRole('button', { name: /Start training|Queue as/ }).click();
  await expect(page.getByRole('heading', { level: 1, name })).toBeVisible();
}

const cursor = (page: Page, chart: string) => page.getByRole('slider', { name: `${chart}: place of the cursor` });
const status = (page: Page, word: string) => page.getByRole('banner').or(page.locator('.run-header')).getByText(word, { exact: true });
const fact = (page: Page, name: string) => page.locator('.run-header dl div', { hasText: name }).locator('dd');
const step = async (page: Page): Promise<number> => Number((await fact(page, 'Step').innerText()).split('/')[0].replaceAll(',', ''));

test('a run is watched live, paused and resumed, survives its engine, and is stopped and kept', async ({ workbench }) => {
  test.setTimeout(300_000);
  const { page } = workbench;
  await startTraining(workbench, 'watched', 5000);
  await expect(status(page, 'Running')).toBeVisible({ timeout: 60_000 });
  await expect.poll(() => step(page), { timeout: 60_000 }).toBeGreaterThan(25);
  await expect(cursor(page, 'loss')).toBeVisible();
  await expect(fact(page, 'Speed')).toContainText('tokens/s');

  await page.getByRole('button', { name: 'Pause' }).click();
  await expect(status(page, 'Paused')).toBeVisible({ timeout: 30_000 });
  const second = await workbench.openWindow();
  await second.evaluate((hash) => void (location.hash = hash), new URL(page.url()).hash);
  await expect(status(second, 'Paused')).toBeVisible();
  const paused = await step(second);
  await expect.poll(() => step(page)).toBe(paused);
  await second.close();
  await page.reload();
  await expect(status(page, 'Paused')).toBeVisible();
  expect(await step(page)).toBe(paused);

  await page.getByRole('button', { name: 'Resume' }).click();
  await expect(status(page, 'Running')).toBeVisible({ timeout: 30_000 });
  await expect.poll(() => step(page), { timeout: 60_000 }).toBeGreaterThan(paused + 5);

  workbench.signalEngines('SIGKILL');
  await expect(status(page, 'Interrupted')).toBeVisible({ timeout: 30_000 });
  await expect(page.getByText('Training was interrupted')).toBeVisible();
  await expectAccessible(page);
  await page.getByRole('button', { name: 'Resume' }).click();
  await expect(status(page, 'Running')).toBeVisible({ timeout: 60_000 });
  await expect.poll(() => step(page), { timeout: 60_000 }).toBeGreaterThan(paused + 30);

  await page.getByRole('button', { name: 'Stop and keep' }).click();
  await expect(status(page, 'Stopped')).toBeVisible({ timeout: 60_000 });
  await page.getByRole('tab', { name: 'Checkpoints' }).click();
  await expect(page.getByRole('table', { name: 'Checkpoints' }).getByRole('row')).not.toHaveCount(0);
  await page.getByRole('tab', { name: 'Samples' }).click();
  await expect(page.getByText('Step 0')).toBeVisible();
  await page.getByRole('tab', { name: 'Log' }).click();
  await expect(page.getByRole('log')).toContainText('started on');
  await page.getByRole('tab', { name: 'Recipe' }).click();
  await expect(page.getByLabel('Recipe', { exact: true }).locator('visible=true').last()).toContainText('maxSteps: 5000');
  await expectAccessible(page);

  // the workbench itself dies: the run is there, and can go on
  await page.getByRole('button', { name: 'Resume' }).click();
  await expect(status(page, 'Running')).toBeVisible({ timeout: 60_000 });
  const hash = new URL(page.url()).hash;
  const again = await workbench.crash();
  await workbench.go(hash);
  await expect(status(again, 'Interrupted')).toBeVisible({ timeout: 30_000 });
  await expect(again.getByRole('button', { name: 'Resume' })).toBeVisible();
});

test('curves are read off by keys, and how they are looked at is in the address', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go('#/runs');
  await page.getByRole('link', { name: EXAMPLE }).click();
  await expect(cursor(page, 'loss')).toBeVisible();
  await cursor(page, 'loss').focus();
  await page.keyboard.press('Home');
  await page.keyboard.press('ArrowRight');
  await expect(cursor(page, 'loss')).toHaveAttribute('aria-valuetext', /^step 2: loss \d/);
  await expect(cursor(page, 'grad_norm')).toHaveAttribute('aria-valuetext', /^step 2: grad_norm \d/);
  await page.keyboard.press('+');
  await expect(page).toHaveURL(/zoom=/);
  await expect(page.getByRole('button', { name: 'Show all' })).toBeEnabled();

  await page.getByRole('radio', { name: 'Tokens' }).click();
  await page.getByRole('slider', { name: 'Smoothing' }).fill('0.6');
  await page.getByRole('checkbox', { name: 'Log scale' }).check();
  await page.getByRole('button', { name: 'Charts' }).click();
  await page.getByRole('dialog', { name: 'Charts' }).getByRole('checkbox', { name: 'grad_norm' }).uncheck();
  await page.keyboard.press('Escape');
  await expect(cursor(page, 'grad_norm')).toHaveCount(0);
  await page.reload();
  await expect(cursor(page, 'loss')).toBeVisible();
  await expect(cursor(page, 'grad_norm')).toHaveCount(0);
  await expect(page.getByRole('radio', { name: 'Tokens' })).toBeChecked();
  await expect(page.getByRole('slider', { name: 'Smoothing' })).toHaveValue('0.6');
  await expect(page.getByRole('checkbox', { name: 'Log scale' })).toBeChecked();
  await page.getByText('What healthy SFT curves look like').click();
  await expect(page.getByText('eval_loss follows and then flattens')).toBeVisible();
  await expectAccessible(page);
});

test('curves are saved as CSV and PNG', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go('#/runs');
  await page.getByRole('link', { name: EXAMPLE }).click();
  await expect(cursor(page, 'loss')).toBeVisible();
  const save = async (act: () => Promise<void>): Promise<Buffer> => {
    const download = page.waitForEvent('download');
    await act();
    return readFile(await (await download).path());
  };
  const csv = String(await save(() => page.getByRole('button', { name: 'CSV' }).click()));
  expect(csv.split('\r\n')[0]).toMatch(/^run,step,tokens,seconds,.*loss/);
  expect(csv.split('\r\n')[1]).toMatch(new RegExp(`^${EXAMPLE},1,\\d+,`));
  const png = await save(async () => {
    await page.getByRole('button', { name: 'Actions for the chart loss', exact: true }).click();
    await page.getByRole('menuitem', { name: 'Save as PNG' }).click();
  });
  expect(png.subarray(1, 4).toString()).toBe('PNG');
});

test('waiting runs are put in another order, taken out of the queue, and deleted after a question', async ({ workbench }) => {
  const { page } = workbench;
  await startTraining(workbench, 'now', 5000);
  for (const name of ['next', 'last']) await startTraining(workbench, name, 50);
  await workbench.go('#/runs');
  const waiting = page.getByRole('list', { name: 'Waiting runs' });
  await expect(waiting.getByRole('link')).toHaveText(['next', 'last']);
  await expectAccessible(page);
  await page.getByRole('button', { name: 'Move last up' }).click();
  await expect(waiting.getByRole('link')).toHaveText(['last', 'next']);
  await waiting.getByRole('link', { name: 'last' }).focus();
  await page.keyboard.press('Alt+ArrowDown');
  await expect(waiting.getByRole('link')).toHaveText(['next', 'last']);
  await page.getByRole('button', { name: 'Take last out of the queue' }).click();
  await expect(waiting.getByRole('link')).toHaveText(['next']);

  await page.getByRole('button', { name: 'Actions for last' }).click();
  await page.getByRole('menuitem', { name: 'Delete' }).click();
  await expect(page.getByRole('alertdialog')).toContainText('Goes:');
  await page.getByRole('alertdialog').getByRole('button', { name: 'Delete' }).click();
  await expect(page.getByRole('row', { name: /last/ })).toHaveCount(0);
  await page.getByLabel('Status: Every status').click();
  await page.getByRole('option', { name: 'Finished' }).click();
  await expect(page.getByRole('table').getByRole('link')).toHaveText([EXAMPLE]);
});
