/** A model is served from the window: chosen, started, asked by another program, watched, and stopped. */
import { expect, expectAccessible, test } from './workbench.ts';

test('a model is served to other programs of this machine, and its requests are seen', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go('#/library/attune-base');
  await page.getByRole('complementary').getByRole('link', { name: 'Serve' }).click();
  await expect(page.getByRole('button', { name: 'Model: attune-base' })).toBeVisible();
  await expectAccessible(page);

  await page.getByRole('textbox', { name: 'Port' }).fill('99999');
  await page.getByRole('button', { name: 'Start' }).click();
  await expect(page.getByRole('alert')).toContainText('Give a port from 0 to 65535');
  await page.getByRole('textbox', { name: 'Port' }).fill('0');
  await page.getByRole('textbox', { name: 'Token' }).fill('short');
  await page.getByRole('button', { name: 'Start' }).click();
  await expect(page.getByRole('alert')).toContainText('at least 8 characters');
  await page.getByRole('textbox', { name: 'Token' }).fill('');
  await page.getByRole('button', { name: 'Start' }).click();

  const served = page.getByRole('region', { name: 'attune-base' });
  await expect(served).toContainText(/http:\/\/127\.0\.0\.1:\d+\/v1/, { timeout: 60_000 });
  await expect(page.getByText('No request yet')).toBeVisible();
  const [url, token] = await served.locator('dd code').allTextContents();
  await expect(served.locator('pre')).toContainText(token);

  const ask = (key: string) =>
    fetch(`${url}/chat/completions`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${key}` },
      body: JSON.stringify({ model: 'attune-base', messages: [{ role: 'user', content: 'Define the word river.' }], max_tokens: 8, n: 2, seed: 1 }),
    });
  expect((await ask('another token')).status).toBe(401);
  const answer = (await (await ask(token)).json()) as { choices: { message: { content: string } }[] };
  expect(answer.choices).toHaveLength(2);
  const row = page.getByRole('table', { name: 'Requests' }).getByRole('row').nth(1);
  await expect(row).toContainText('chat/completions');
  await expect(row).toContainText('done');
  await expectAccessible(page);

  // another window sees the same, and so does this one after a reload
  const second = await workbench.openWindow();
  await second.evaluate(() => void (location.hash = '#/library?serve='));
  await expect(second.getByRole('region', { name: 'attune-base' })).toContainText(url);
  await page.reload();
  await expect(served).toContainText(url);

  await served.getByRole('button', { name: 'Stop' }).click();
  await expect(page.getByRole('button', { name: 'Start' })).toBeVisible();
  await expect(second.getByRole('button', { name: 'Start' })).toBeVisible();
  await expect(ask(token)).rejects.toThrow();
  await expect.poll(() => workbench.engines().length).toBe(0);
});
