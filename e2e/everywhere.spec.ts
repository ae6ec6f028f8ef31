/** What holds on every screen: axe finds nothing serious, in both themes and both languages; keys alone reach everything; a reload and a second window see the same. */
import { expect, expectAccessible, runCommand, test } from './workbench.ts';

const SCREENS = ['library', 'datasets', 'train', 'runs', 'playground', 'export', 'reports'] as const;
const PLACES = [
  '#/library', '#/library/example-lora', '#/library?view=lineage', '#/library?serve=attune-base', '#/library/attune-base?inspect=overview', '#/library/attune-base?inspect=tensors',
  '#/library/attune-base?inspect=vocabulary', '#/library/example-lora?inspect=changes', '#/datasets', '#/datasets/instructions', '#/datasets/preferences',
  '#/train?model=attune-base&dataset=instructions&method=sft', '#/runs', '#/runs/1', '#/playground', '#/export?model=example-lora', '#/reports', '#/reports?new=1',
];

for (const colorScheme of ['light', 'dark'] as const) {
  test.describe(colorScheme, () => {
    test.use({ options: { locale: 'en-US', colorScheme, late: 0 } });
    test(`axe finds nothing serious on any screen, ${colorScheme}`, async ({ workbench }) => {
      const { page } = workbench;
      for (const place of PLACES) {
        await test.step(place, async () => {
          await workbench.go(place);
          await expect(page.getByRole('main').getByRole('heading', { level: 1 })).toBeVisible();
          await expect(page.getByRole('status', { name: 'Loading' })).toHaveCount(0);
          // the two themes are one document: what differs is colours
          await expectAccessible(page, colorScheme === 'dark' ? ['color-contrast'] : undefined);
        });
      }
    });
  });
}

test.describe('Korean', () => {
  test.use({ options: { locale: 'ko-KR', colorScheme: 'light', late: 0 } });
  test('a Korean system sees Korean everywhere; the setting changes the language at once, for every window and after a reload', async ({ workbench }) => {
    const { page } = workbench;
    await expect(page.getByRole('link', { name: '라이브러리' })).toBeVisible();
    for (const screen of SCREENS) {
      await workbench.go(`#/${screen}`);
      await expect(page.getByRole('main').getByRole('heading', { level: 1 })).toHaveText(/[가-힣]/);
    }
    expect(await page.evaluate(() => document.documentElement.lang)).toBe('ko');
    const second = await workbench.openWindow();
    await runCommand(page, 'English');
    await expect(page.getByRole('link', { name: 'Library' })).toBeVisible();
    await expect(second.getByRole('link', { name: 'Library' })).toBeVisible();
    await page.reload();
    await expect(page.getByRole('link', { name: 'Library' })).toBeVisible();
  });
});

test('the theme follows the system until one is chosen, and is kept', async ({ workbench }) => {
  const { page } = workbench;
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.emulateMedia({ colorScheme: 'dark' });
  await expect.poll(ground).not.toBe(light);
  await runCommand(page, 'Light');
  await expect.poll(ground).toBe(light);
  await page.reload();
  await expect.poll(ground).toBe(light);
});

test('keys alone: every screen by Alt and its number and by the palette, and focus is always to be seen', async ({ workbench }) => {
  const { page } = workbench;
  for (const [i, screen] of SCREENS.entries()) {
    await page.keyboard.press(`Alt+${i + 1}`);
    await expect(page).toHaveURL(new RegExp(`#/${screen}`));
  }
  await page.keyboard.press('Control+k');
  await expect(page.getByRole('dialog')).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(page.getByRole('dialog')).toHaveCount(0);
  await workbench.go('#/runs');
  for (let i = 0; i < 30; i++) {
    await page.keyboard.press('Tab');
    const seen = await page.evaluate(() => {
      const focused = document.activeElement;
      if (!focused || focused === document.body) return null;
      const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(focused);
      return { name: focused.outerHTML.slice(0, 80), visible: (outlineStyle !== 'none' && outlineWidth !== '0px') || boxShadow !== 'none' };
    });
    if (seen) expect(seen, seen.name).toMatchObject({ visible: true });
  }
});

test('after a crash of the whole workbench everything is as it was', async ({ workbench }) => {
  await workbench.go('#/runs');
  await expect(workbench.page.getByText('example-lora')).toBeVisible();
  const page = await workbench.crash();
  await workbench.go('#/runs');
  await expect(page.getByText('example-lora')).toBeVisible();
});
