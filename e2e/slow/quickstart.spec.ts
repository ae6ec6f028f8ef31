/** The whole quickstart in the window, from a first start: one button trains SFT, then DPO, then base, SFT and DPO answer; a reload in the middle changes nothing. */
import { expect, expectAccessible, test } from '../workbench.ts';

/** An epoch of each on two busy cores. */
const STAGE = 300_000;

test('one button: SFT, then DPO, then the three compared, watched to the end over a reload', async ({ workbench }) => {
  test.setTimeout(3 * STAGE);
  const { page } = workbench;
  const project = page.getByRole('region', { name: 'Your first project' });
  const stage = (title: string) => project.getByRole('list', { name: 'Stages' }).getByRole('listitem').filter({ hasText: title });
  await expect(project.getByRole('link', { name: 'instructions' })).toBeVisible({ timeout: 30_000 });
  await project.getByRole('button', { name: 'Run SFT' }).click();
  await expect(stage('SFT')).toContainText('step ', { timeout: 60_000 });
  await expect(stage('DPO')).toContainText('not yet');

  await page.reload();
  await expect(stage('SFT')).toContainText('step ');
  await expect(stage('SFT')).toContainText('done', { timeout: STAGE });
  await expect(stage('DPO')).toContainText('step ', { timeout: 60_000 });
  await expectAccessible(page);

  await expect(project.getByRole('status')).toContainText('base, SFT and DPO answer side by side', { timeout: STAGE });
  await project.getByRole('link', { name: 'Open the comparison' }).first().click();
  await expect(page).toHaveURL(/#\/playground\/\d+/);
  for (const name of ['attune-base', 'attune-sft', 'attune-dpo']) {
    await expect(page.getByRole('article', { name: `Answer of ${name}` })).toContainText(/\w{3}/);
  }
  await expect(page.getByRole('button', { name: 'Copy the answer' })).toHaveCount(3);
  await expectAccessible(page);

  await workbench.go('#/runs');
  for (const name of ['attune-sft', 'attune-dpo']) await expect(page.getByRole('row', { name: new RegExp(name) }).first()).toContainText('Finished');
});
