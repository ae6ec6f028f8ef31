/** A prompt template with places, examples and a system prompt in the playground: written, filled, kept, used again; a preset brings back what answers must be. */
import { expect, expectAccessible, test } from './workbench.ts';

test('a template is filled and asked with its examples, kept, and used by another conversation', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go('#/playground?model=attune-base&panel=prompt');
  const panel = page.getByRole('complementary', { name: 'Prompt' });
  await panel.getByRole('textbox', { name: 'System prompt' }).fill('You are a dictionary.');
  await panel.getByRole('textbox', { name: 'Prompt template' }).fill('What does {{word}} mean to {{who}}?');
  await panel.getByRole('button', { name: 'Add example', exact: true }).click();
  await panel.getByRole('textbox', { name: 'Prompt of example 1' }).fill('What does river mean to a child?');
  await expect(panel).toContainText('half written, not shown');
  await panel.getByRole('textbox', { name: 'Answer of example 1' }).fill('Much water on its way.');
  await expect(page.getByText('Examples shown before the conversation: 1')).toBeVisible();
  const send = page.getByRole('button', { name: 'Send' });
  await page.getByRole('textbox', { name: 'word', exact: true }).fill('piano');
  await expect(send).toBeDisabled();
  await page.getByRole('textbox', { name: 'who', exact: true }).fill('{{word}}');
  await expectAccessible(page);
  await page.keyboard.press('Enter');
  const turn = page.getByRole('region', { name: 'Turn 1', exact: true });
  await expect(turn).toContainText('What does piano mean to {{word}}?');
  await expect(turn.getByRole('button', { name: 'Copy the answer' })).toBeVisible({ timeout: 60_000 });

  // what the model was asked is told token by token: the examples are in it
  await turn.getByRole('button', { name: /token by token/ }).click();
  await expect(page.getByRole('dialog')).toContainText('Much water on its way.', { timeout: 30_000 });
  await page.keyboard.press('Escape');

  await panel.getByRole('button', { name: 'Add the last answer' }).click();
  await expect(panel.getByRole('textbox', { name: 'Prompt of example 2' })).toHaveValue('What does piano mean to {{word}}?');
  await panel.getByRole('button', { name: 'Remove example 2' }).click();
  await panel.getByRole('button', { name: 'Templates' }).click();
  await page.getByRole('menuitem', { name: 'Keep as a template…' }).click();
  await page.getByRole('textbox', { name: 'Name' }).fill('dictionary');
  await page.keyboard.press('Enter');
  await expect(panel.getByRole('button', { name: 'Template: dictionary' })).toBeVisible();

  await page.reload();
  await expect(panel.getByRole('textbox', { name: 'Answer of example 1' })).toHaveValue('Much water on its way.');
  await workbench.go('#/playground?model=attune-base&panel=prompt');
  await panel.getByRole('button', { name: 'Templates' }).click();
  await page.getByRole('menuitem', { name: 'dictionary', exact: true }).click();
  await expect(page.getByRole('textbox', { name: 'who', exact: true })).toBeVisible();
  await expect(panel.getByRole('textbox', { name: 'System prompt' })).toHaveValue('You are a dictionary.');
});

test('a preset keeps what answers must be, too', async ({ workbench }) => {
  const { page } = workbench;
  await workbench.go('#/playground?model=attune-base&panel=constraint');
  const form = page.getByRole('complementary', { name: 'Form' });
  await form.getByLabel(/^Answers must be: /).click();
  await page.getByRole('option', { name: 'One of a list', exact: true }).click();
  await form.getByRole('textbox', { name: 'Choices' }).fill('yes\nno');
  await expect(form.getByRole('status')).toHaveText('In force from the next answer');
  await page.getByRole('tab', { name: 'Sampling' }).click();
  const sampling = page.getByRole('complementary', { name: 'Sampling' });
  await sampling.getByRole('button', { name: 'Presets' }).click();
  await page.getByRole('menuitem', { name: 'Keep these settings…' }).click();
  await page.getByRole('textbox', { name: 'Name' }).fill('yes or no');
  await page.keyboard.press('Enter');
  await expect(sampling.getByRole('button', { name: 'Preset: yes or no' })).toBeVisible();

  await workbench.go('#/playground?model=attune-base&panel=sampling');
  await sampling.getByRole('button', { name: 'Presets' }).click();
  await page.getByRole('menuitem', { name: 'yes or no' }).click();
  await page.getByRole('tab', { name: 'Form' }).click();
  await expect(form.getByRole('textbox', { name: 'Choices' })).toHaveValue('yes\nno');
});
