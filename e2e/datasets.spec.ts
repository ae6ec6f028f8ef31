/** Datasets: brought in through the mapping step, edited by keys, nothing lost when a window dies. A million rows: slow/million-rows.spec.ts. */
import { cell, grid, importFile, instruction, open, press, typeInto, writeRows } from './dataset-table.ts';
import { expect, expectAccessible, test } from './workbench.ts';

test('a file with bad rows: each with its line and reason, before the import and after it', async ({ workbench }) => {
  const { page } = workbench;
  const path = writeRows(workbench, 'alpaca.jsonl', [instruction(0), '{"instruction": "broken', instruction(1), { instruction: 'no answer' }, instruction(2)]);
  await workbench.go(`#/datasets/import?path=${encodeURIComponent(path)}`);
  await expect(page.getByText('reads 3 of 5 sampled rows')).toBeVisible();
  await expect(page.getByText('output is missing')).toBeVisible();
  await expectAccessible(page);
  await page.getByRole('radio', { name: 'Problems (2)' }).click();
  await expect(page.getByText('line 2', { exact: true })).toBeVisible();
  await page.getByRole('button', { name: 'Import', exact: true }).click();
  await expect(page.getByText('3 rows', { exact: true })).toBeVisible();
  await page.getByRole('link', { name: '2 problems' }).click();
  await expect(page.getByRole('row', { name: /^4 left out output is missing/ })).toBeVisible();
  await expectAccessible(page);
});

test('a table is mapped by hand, and its row of the wrong width is told by its line', async ({ workbench }) => {
  const { page } = workbench;
  const path = writeRows(workbench, 'chat.csv', ['Q,A,label', '안녕,반가워요,0', '잘 자', '"두\n줄",네,1']);
  await workbench.go(`#/datasets/import?path=${encodeURIComponent(path)}`);
  await page.getByLabel('Format: Choose a format').click();
  await page.getByRole('option', { name: /^Prompt and completion/ }).click();
  await page.getByLabel(/^Column for prompt/).click();
  await page.getByRole('option', { name: 'Q', exact: true }).click();
  await page.getByLabel(/^Column for completion/).click();
  await page.getByRole('option', { name: 'A', exact: true }).click();
  await expect(page.getByText('reads 2 of 3 sampled rows')).toBeVisible();
  await expect(page.getByText('it has 1 cell where the first row names 3 columns')).toBeVisible();
  await page.getByRole('button', { name: 'Import', exact: true }).click();
  await expect(cell(page, 1, 2)).toHaveText('반가워요');
  await page.getByRole('link', { name: '1 problem' }).click();
  await expect(page.getByRole('row', { name: /^3 left out it has 1 cell/ })).toBeVisible();
});

test('a file whose columns have other names is mapped by hand, and a reload keeps what was chosen', async ({ workbench }) => {
  const { page } = workbench;
  const path = writeRows(workbench, 'faq.jsonl', [{ ask: 'Why?', reply: 'Because.' }, { ask: 'Who?', reply: 'You.' }]);
  await workbench.go(`#/datasets/import?path=${encodeURIComponent(path)}`);
  await expect(page.getByText('No format fits as it is')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Import', exact: true })).toBeDisabled();
  await page.getByLabel('Format: Choose a format').click();
  await page.getByRole('option', { name: /^Prompt and completion/ }).click();
  await page.getByLabel(/^Column for prompt/).click();
  await page.getByRole('option', { name: 'ask' }).click();
  await page.getByLabel(/^Column for completion/).click();
  await page.getByRole('option', { name: 'reply' }).click();
  await expect(page.getByText('reads 2 of 2 sampled rows')).toBeVisible();
  await page.reload();
  await expect(page.getByText('Because.')).toBeVisible();
  await page.getByRole('button', { name: 'Import', exact: true }).click();
  await expect(cell(page, 1, 2)).toHaveText('Because.');
});

test('a dropped file goes through the mapping step; pairs are swapped with one key, exported, renamed and deleted', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go('#/datasets');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Datasets');
  const row = JSON.stringify({ prompt: 'p', chosen: 'good', rejected: 'bad' });
  const files = await page.evaluateHandle((text) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([text], 'dropped.jsonl'));
    return transfer;
  }, `${row}\n`);
  const place = page.getByRole('heading', { level: 1 });
  await place.dispatchEvent('dragenter', { dataTransfer: files });
  await expect(page.getByText('Drop to import')).toBeVisible();
  await place.dispatchEvent('drop', { dataTransfer: files });
  await page.getByRole('button', { name: 'Import', exact: true }).click();
  await grid(page).focus();
  await press(page, 'x');
  await expect(cell(page, 1, 2)).toHaveText('bad');
  await expect(cell(page, 1, 3)).toHaveText('good');

  await page.getByRole('button', { name: 'More', exact: true }).click();
  await page.getByRole('menuitem', { name: 'Rename…' }).click();
  await typeInto(page.getByRole('dialog').getByRole('textbox'), 'mine');
  await press(page, 'Enter');
  await expect(page).toHaveURL(/datasets\/mine/);
  await page.getByRole('button', { name: 'More', exact: true }).click();
  await page.getByRole('menuitem', { name: 'Delete dataset…' }).click();
  await page.getByRole('alertdialog').getByRole('button', { name: 'Delete' }).click();
  await expect(page.getByRole('link', { name: 'mine', exact: true })).toHaveCount(0);
});

test('keys alone: rows are added, edited, duplicated, tagged, split, filtered, deleted, and all of it is undone', async ({ workbench }) => {
  const { page } = workbench;
  await importFile(workbench, writeRows(workbench, 'rows.jsonl', Array.from({ length: 20 }, (_, i) => instruction(i))));
  await grid(page).focus();
  await press(page, 'Enter');
  await typeInto(open(page), 'first');
  await press(page, 'Shift+Enter');
  await page.keyboard.type('second');
  await press(page, 'Tab');
  await expect(open(page)).toHaveValue('');
  await typeInto(open(page), 'an input');
  await press(page, 'Enter');
  await expect(cell(page, 1, 1)).toHaveText('first ⏎ second');
  await expect(cell(page, 1, 2)).toHaveText('an input');
  await press(page, 'F2');
  await typeInto(open(page), ' not kept');
  await press(page, 'Escape');
  await expect(cell(page, 1, 2)).toHaveText('an input');

  await press(page, 'n');
  await expect(page.getByText('21 rows', { exact: true })).toBeVisible();
  await typeInto(open(page), 'new');
  await press(page, 'Enter', 'Control+d');
  await expect(page.getByText('22 rows', { exact: true })).toBeVisible();
  await press(page, 'Control+Home', 'Space', 'Shift+ArrowDown', 'Shift+ArrowDown');
  await expect(page.getByText('3 selected')).toBeVisible();
  await press(page, 't');
  await typeInto(page.getByRole('dialog').getByRole('textbox'), 'good');
  await press(page, 'Enter');
  await expect(page.getByRole('dialog')).toHaveCount(0);
  await page.getByLabel('Tag shown: Any tag').click();
  await page.getByRole('option', { name: /^good/ }).click();
  await expect(page.getByText('3 of 22 rows')).toBeVisible();
  await grid(page).focus();
  await press(page, 'Control+a', 's');
  await page.getByRole('button', { name: 'Apply to 3 rows' }).click();
  await expect(page.getByText('Validation 3', { exact: true })).toBeVisible();
  await press(page, 'Control+a', 'Delete');
  await expect(page.getByText('No row like that')).toBeVisible();
  await page.getByRole('button', { name: 'Show all rows' }).click();
  await expect(page.getByText('19 rows', { exact: true })).toBeVisible();
  const undo = page.getByRole('button', { name: /^Undo/ }).first();
  await grid(page).focus();
  // faster than main answers: presses are never lost, and what is shown at the end is the last answer
  for (let i = 0; i < 20; i++) await press(page, 'Control+z');
  await expect(page.getByText('20 rows', { exact: true })).toBeVisible();
  await expect(cell(page, 1, 1)).toHaveText('question 0');
  await expect(undo).toBeDisabled();
});

// where answers come late, what is done next must not be overtaken by what was done before
test.describe('while main answers late', () => {
  test.use({ options: { locale: 'en-US', colorScheme: 'light', late: 300 } });
  test('a conversation is edited turn by turn, and the prompt is shown with its tokens and loss mask', async ({ workbench }) => {
    const { page } = workbench;
    await workbench.go('#/datasets');
    await page.getByRole('button', { name: 'New dataset' }).first().click();
    await typeInto(page.getByRole('dialog').getByRole('textbox'), 'talks');
    await page.getByRole('radio', { name: 'Conversations' }).click();
    await page.getByRole('button', { name: 'Create' }).click();
    await page.getByRole('button', { name: 'Add row' }).last().click();
    await typeInto(open(page), 'Hello');
    await press(page, 'Tab');
    await expect(open(page)).toHaveValue('');
    await typeInto(open(page), 'Good day');
    await press(page, 'Enter');
    await page.getByRole('button', { name: 'Add turn' }).click();
    await page.getByRole('textbox', { name: 'Turn 3, User' }).fill('Bye');
    await expect(cell(page, 1, 1)).toContainText('3 turns');
    const shown = page.getByRole('region', { name: 'As the model sees it' });
    await expect(shown.getByRole('group')).toContainText('Bye');
    await expect(shown.locator('.trained').first()).toContainText('Good day');
    await shown.getByRole('checkbox', { name: 'Token borders' }).check();
    await expectAccessible(page);
  });
});

for (const dying of ['window', 'workbench'] as const) {
  test(`what is being typed is kept when the ${dying} dies, and one undo takes it back`, async ({ workbench, shell }) => {
    test.skip(dying === 'window' && shell === 'electron', "Electron's only window cannot open another one once it is dead");
    const { page } = workbench;
    await importFile(workbench, writeRows(workbench, 'rows.jsonl', [instruction(0), instruction(1)]));
    await grid(page).focus();
    await press(page, 'Enter');
    await typeInto(open(page), 'typed until the very end', { delay: 20 });
    // the cell is still open; what is typed has come to main when another window shows it
    const other = await workbench.openWindow();
    await other.evaluate(() => void (location.hash = '#/datasets/rows'));
    await expect(cell(other, 1, 1)).toHaveText('typed until the very end');
    await expect(open(page)).toBeFocused();
    if (dying === 'window') {
      const session = await page.context().newCDPSession(page);
      void session.send('Page.crash').catch(() => {});
      await page.waitForEvent('crash');
    }
    const again = dying === 'window' ? await workbench.openWindow() : await workbench.crash();
    await again.evaluate(() => void (location.hash = '#/datasets/rows'));
    await expect(cell(again, 1, 1)).toHaveText('typed until the very end');
    await grid(again).focus();
    await press(again, 'Control+z');
    await expect(cell(again, 1, 1)).toHaveText('question 0');
  });
}

test('an edit in one window is seen in another', async ({ workbench }) => {
  const { page } = workbench;
  await importFile(workbench, writeRows(workbench, 'rows.jsonl', Array.from({ length: 5 }, (_, i) => instruction(i))));
  const other = await workbench.openWindow();
  await other.evaluate(() => void (location.hash = '#/datasets/rows'));
  await expect(cell(other, 1, 1)).toHaveText('question 0');
  await grid(page).focus();
  await press(page, 'Enter');
  await typeInto(open(page), 'seen');
  await press(page, 'Enter');
  await expect(cell(other, 1, 1)).toHaveText('seen');
  await grid(other).focus();
  await press(other, 'Delete');
  await expect(page.getByText('4 rows', { exact: true })).toBeVisible();
});
