/** A dataset of a million rows in the window: as quick to scroll and to edit as a small one. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { cell, grid, importFile, instruction, open, press, typeInto } from '../dataset-table.ts';
import { expect, test } from '../workbench.ts';

test('a million rows: scrolled through, edited at the end, searched, undone, and found again after a reload', async ({ workbench }) => {
  test.setTimeout(300_000);
  const { page } = workbench;
  const path = join(workbench.folder, 'million.jsonl');
  const file = openSync(path, 'w');
  for (let i = 0; i < 1_000_000; i += 10_000) writeSync(file, Array.from({ length: 10_000 }, (_, k) => `${JSON.stringify(instruction(i + k))}\n`).join(''));
  closeSync(file);
  await importFile(workbench, path, 120_000);
  await expect(page.getByText('1,000,000 rows', { exact: true })).toBeVisible();

  // the work of a frame, in time of the page's own thread: what else the machine does is not counted
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable', { timeDomain: 'threadTicks' });
  const worked = async (): Promise<number> => (await session.send('Performance.getMetrics')).metrics.find(({ name }) => name === 'TaskDuration')!.value * 1000;
  const before = await worked();
  const frames = 300;
  await grid(page).evaluate(async (element, count) => {
    const step = element.scrollHeight / count;
    for (let i = 0; i <= count; i++) {
      await new Promise((resolve) => requestAnimationFrame(resolve));
      element.scrollTop += step;
    }
  }, frames);
  expect(((await worked()) - before) / frames).toBeLessThan(16);
  await expect(cell(page, 1_000_000, 1)).toHaveText('question 999999');

  await grid(page).focus();
  await press(page, 'Control+ArrowDown', 'Enter');
  await typeInto(open(page), 'the needle');
  await press(page, 'Enter');
  await press(page, '/');
  await typeInto(page.getByRole('searchbox'), 'needle');
  await expect(page.getByText('1 of 1,000,000 rows')).toBeVisible({ timeout: 120_000 });
  await page.reload();
  await expect(cell(page, 1, 1)).toHaveText('the needle');
  await expect(page.getByRole('searchbox')).toHaveValue('needle');
  await grid(page).focus();
  await press(page, 'Control+z');
  await expect(cell(page, 1, 1)).toHaveText('question 999999');
});
