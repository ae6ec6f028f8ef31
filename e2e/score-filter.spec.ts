/** A filter by a classifier: labelled texts train it, it scores the rows of another dataset in the editor, and those below a bound are tagged and deleted, and come back. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, expectAccessible, ROOT, test } from './workbench.ts';

test('rows are scored by a classifier, filtered by its score, tagged, deleted and brought back', async ({ workbench }) => {
  const { page, folder, library } = workbench;
  const attune = (...args: string[]) =>
    execFileSync(join(ROOT, 'node_modules', 'node', 'bin', 'node'), [join(ROOT, 'src', 'main', 'cli.ts'), ...args], { cwd: folder, env: { ...process.env, ATTUNE_HOME: library }, stdio: 'pipe' });
  const jsonl = (name: string, rows: object[]) => writeFileSync(join(folder, name), rows.map((row) => JSON.stringify(row)).join('\n'));
  const word = (i: number): string => String.fromCharCode(97 + (i % 20)).repeat(3 + (i % 3));
  jsonl('labels.jsonl', Array.from({ length: 48 }, (_, i) => (i % 2 === 0 ? { text: word(i), label: 'small' } : { text: word(i).toUpperCase(), label: 'capital' })));
  jsonl('texts.jsonl', Array.from({ length: 20 }, (_, i) => ({ text: i % 4 === 3 ? word(i).toUpperCase() : word(2 * i) })));
  attune('import', 'labels.jsonl', '--name', 'labels');
  attune('import', 'texts.jsonl', '--name', 'texts');
  const recipe = { method: 'classify', name: 'cased', model: join(ROOT, 'fixtures', 'models', 'llama'), dataset: 'labels', maxLength: 64, numTrainEpochs: 6, evalRatio: 0.2, optimizer: { learningRate: 5e-3 } };
  writeFileSync(join(folder, 'classify.yaml'), JSON.stringify(recipe));
  attune('train', 'classify.yaml');

  await workbench.go('#/datasets/texts');
  await page.getByRole('link', { name: 'Score rows' }).click();
  const dialog = page.getByRole('dialog', { name: 'Score the rows of texts' });
  await dialog.getByLabel('Score is the probability of: capital').click();
  await page.getByRole('option', { name: 'small' }).click();
  await expectAccessible(page);
  await dialog.getByRole('button', { name: 'Score', exact: true }).click();
  await expect(dialog).toHaveCount(0, { timeout: 60_000 });
  const bar = page.getByRole('region', { name: 'Scores' });
  await expect(bar).toContainText('Scored by cased: probability of “small”');
  await expect(page.getByRole('columnheader', { name: 'Score' })).toBeVisible();

  await bar.getByRole('textbox', { name: 'below' }).fill('0.5');
  await bar.getByRole('textbox', { name: 'below' }).press('Enter');
  await expect(page.getByText('5 of 20 rows')).toBeVisible();
  await expect(page).toHaveURL(/max=0\.5/);
  await expectAccessible(page);
  await page.getByRole('grid').focus();
  await page.keyboard.press('Control+a');
  await page.keyboard.press('t');
  await page.getByRole('dialog').getByRole('textbox').fill('loud');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('grid').getByText('loud').first()).toBeVisible();
  await page.getByRole('grid').focus();
  await page.keyboard.press('Control+a');
  await page.keyboard.press('Delete');
  await expect(page.getByText('0 of 15 rows')).toBeVisible();
  await page.keyboard.press('Control+z');
  await expect(page.getByText('5 of 20 rows')).toBeVisible();
  await bar.getByRole('textbox', { name: 'below' }).fill('');
  await bar.getByRole('textbox', { name: 'below' }).press('Enter');
  await bar.getByRole('textbox', { name: 'from' }).fill('0.5');
  await bar.getByRole('textbox', { name: 'from' }).press('Enter');
  await expect(page.getByText('15 of 20 rows')).toBeVisible();
});
