/** A reward model in the window: its rankings, a run's evaluation seen as spread and calibration, and a scorer told from what can be talked to. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, expectAccessible, ROOT, test } from './workbench.ts';

test('rankings stand in a table, a reward model shows what it learnt, and is kept out of conversations', async ({ workbench }) => {
  const { page, folder, library } = workbench;
  const attune = (...args: string[]) =>
    execFileSync(join(ROOT, 'node_modules', 'node', 'bin', 'node'), [join(ROOT, 'src', 'main', 'cli.ts'), ...args], { cwd: folder, env: { ...process.env, ATTUNE_HOME: library }, stdio: 'pipe' });
  const rows = Array.from({ length: 24 }, (_, i) => ({ prompt: `Say ${i}.`, responses: [`${i}`, `${i} ${i}`, 'no no no no'] }));
  writeFileSync(join(folder, 'rankings.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
  attune('import', 'rankings.jsonl', '--name', 'rankings');
  const recipe = { method: 'reward', name: 'short-is-good', model: join(ROOT, 'fixtures', 'models', 'llama'), dataset: 'rankings', maxLength: 64, numTrainEpochs: 3, evalRatio: 0.2, optimizer: { learningRate: 5e-3 } };
  writeFileSync(join(folder, 'reward.yaml'), JSON.stringify(recipe));
  attune('train', 'reward.yaml');
  const pairs = Array.from({ length: 24 }, (_, i) => ({ prompt: `Say ${i}.`, chosen: `${i}`, rejected: 'no no no no' }));
  writeFileSync(join(folder, 'pairs.jsonl'), pairs.map((row) => JSON.stringify(row)).join('\n'));
  attune('import', 'pairs.jsonl', '--name', 'pairs');

  await workbench.go('#/datasets/rankings');
  await expect(page.getByRole('columnheader', { name: 'Best answer' })).toBeVisible();
  await expect(page.getByText('no no no no').first()).toBeVisible();

  await workbench.go('#/runs');
  const run = page.getByRole('row', { name: /short-is-good/ }).first();
  await expect(run).toContainText('Reward model');
  await run.getByRole('link').first().click();
  await page.getByRole('tab', { name: 'Evaluation' }).click();
  await expect(page.getByRole('heading', { name: 'Scores' })).toBeVisible();
  await expect(page.getByRole('heading', { name: /Calibration error/ })).toBeVisible();
  await expectAccessible(page);

  // as a judge in a person's place
  await workbench.go('#/datasets/pairs?judge=1');
  const dialog = page.getByRole('dialog', { name: 'Judge pairs with a model' });
  await expect(dialog).toContainText('A reward model scores each answer by itself');
  await expect(dialog.getByRole('textbox', { name: 'Rubric' })).toHaveCount(0);
  await expectAccessible(page);
  await dialog.getByRole('button', { name: 'Judge', exact: true }).click();
  await expect(page.getByRole('heading', { name: 'Judged by short-is-good' })).toBeVisible({ timeout: 60_000 });
  await expect(page.getByText('Agreement with people is better than chance.')).toBeVisible();
  await expect(page.getByText('Place decides', { exact: true })).toHaveCount(0);
  await expectAccessible(page);

  await workbench.go('#/library/short-is-good');
  const detail = page.getByRole('complementary', { name: 'short-is-good' });
  await expect(detail).toContainText('Reward model');
  await expect(detail).toContainText('cannot be talked to');
  await expect(detail.getByRole('link', { name: 'Train' })).toBeVisible();
  await expect(detail.getByRole('link', { name: 'Chat' })).toHaveCount(0);
});
