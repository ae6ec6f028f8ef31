/** Answers of a form: choices and a schema chosen in the playground, a refused part told at its line, validity beside every answer. */
import { expect, expectAccessible, test } from './workbench.ts';

const CAT = JSON.stringify({ type: 'object', required: ['legs'], properties: { legs: { type: 'integer', minimum: 0, maximum: 8 } }, additionalProperties: false });

test('answers keep to a list, then to a schema; a schema that cannot be enforced says where', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go('#/playground?model=attune-base&panel=constraint');
  const panel = page.getByRole('complementary', { name: 'Form' });
  const kind = async (name: string) => {
    await panel.getByLabel(/^Answers must be: /).click();
    await page.getByRole('option', { name, exact: true }).click();
  };
  const ask = async (number: number) => {
    await page.getByRole('textbox', { name: 'Prompt', exact: true }).fill('Is ice cold?');
    await page.keyboard.press('Enter');
    const answer = page.getByRole('region', { name: `Turn ${number}`, exact: true }).getByRole('article');
    await expect(answer.getByRole('button', { name: 'Copy the answer' })).toBeVisible({ timeout: 60_000 });
    return answer;
  };
  await kind('One of a list');
  await panel.getByRole('textbox', { name: 'Choices' }).fill('yes\nno');
  await expect(panel.getByRole('status')).toHaveText('In force from the next answer');
  const chosen = await ask(1);
  await expect(chosen).toContainText(/yes|no/);
  await expect(chosen.getByText('Valid', { exact: true })).toBeVisible();

  await kind('JSON of a schema');
  const schema = panel.getByRole('textbox', { name: 'JSON Schema' });
  await schema.fill('{\n  "type": "array",\n  "uniqueItems": true\n}');
  await expect(panel).toContainText('Line 3: uniqueItems');
  await expect(panel.getByRole('status')).toHaveText('Not in force');
  await expectAccessible(page);
  await schema.fill(CAT);
  await expect(panel.getByRole('status')).toHaveText('In force from the next answer');
  const written = await ask(2);
  await expect(written).toContainText(/\{\s*"legs"\s*:\s*[0-8]\s*\}/);
  await expect(written.getByText('Valid', { exact: true })).toBeVisible();

  await expect(panel).toContainText('Answers of this conversation: 2 valid, 0 repaired, 0 broken');
  await page.getByRole('tab', { name: 'Many' }).click();
  const many = page.getByRole('complementary', { name: 'Many' });
  await expect(many).toContainText('Every answer keeps to the form of this conversation.');
  await many.getByRole('textbox', { name: 'Answers', exact: true }).fill('3');
  await many.getByRole('button', { name: 'Ask' }).click();
  await expect(page.getByRole('dialog')).toContainText('Form of the answers: 3 valid, 0 repaired, 0 broken', { timeout: 60_000 });
  await page.keyboard.press('Escape');
  await page.getByRole('tab', { name: 'Form' }).click();

  await page.reload();
  await expect(panel.getByRole('textbox', { name: 'JSON Schema' })).toHaveValue(/legs/);
  await expect(page.getByText('Valid', { exact: true })).toHaveCount(2);
});
