/** Which device computes: told in the rail, chosen in a dialog that says what each would need, tested, and kept. */
import { expect, test } from './workbench.ts';

test('a device is tested and chosen, what is missing is said', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go('#/playground');
  const foot = page.getByRole('button', { name: /^Choose the device/ });
  await expect(foot).toContainText('native');
  await foot.click();
  const dialog = page.getByRole('dialog', { name: 'Devices' });
  await expect(dialog.getByRole('radio', { name: 'native' })).toBeChecked();
  await expect(dialog.getByRole('radio', { name: 'tfjs-node-gpu' })).toBeDisabled();
  await expect(dialog.getByText(/tfjs-node-gpu is not installed/)).toBeVisible();
  await dialog.getByRole('button', { name: 'Test tfjs-wasm' }).click();
  await expect(dialog.getByText(/^Right \(largest error .*GFLOP\/s/)).toBeVisible({ timeout: 60_000 });
  await dialog.getByRole('radio', { name: 'tfjs-wasm' }).click();
  await expect(foot).toContainText('TensorFlow.js in WebAssembly');
  await page.keyboard.press('Escape');
  await page.reload();
  await expect(foot).toContainText('TensorFlow.js in WebAssembly');
});
