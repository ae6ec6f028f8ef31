/** Conversations whose rows list tools and call them: brought in, shown, edited as JSON, undone, found. Not sampling with tools. */
import { cell, importFile, writeRows } from './dataset-table.ts';
import { expect, expectAccessible, test } from './workbench.ts';

const TOOL = { type: 'function', function: { name: 'get_weather', description: 'The weather now.', parameters: { type: 'object', properties: { city: { type: 'string' } } } } };
const calling = (city: string) => ({ role: 'assistant', content: '', tool_calls: [{ id: 'c1', type: 'function', function: { name: 'get_weather', arguments: { city } } }] });
const question = { role: 'user', content: 'Weather in Seoul?' };

test('a conversation with tools: its calls are shown and edited as JSON, a mistake is told and not saved, undo takes it back', async ({ workbench }) => {
  const { page } = workbench;
  const row = { messages: [question, calling('Seoul'), { role: 'tool', tool_call_id: 'c1', name: 'get_weather', content: '3 degrees' }, { role: 'assistant', content: 'Cold.' }], tools: [TOOL] };
  await importFile(workbench, writeRows(workbench, 'talk.jsonl', [row, { messages: [question, { role: 'assistant', content: 'I cannot know.' }] }]));
  const calls = page.getByLabel('Tool calls of turn 2');
  await expect(calls).toHaveValue(/"city": "Seoul"/);
  await expect(page.getByRole('textbox', { name: 'Tools', exact: true })).toHaveValue(/get_weather/);
  await expect(page.getByLabel('Answers call')).toHaveValue('c1');
  await expectAccessible(page);

  const given = await calls.inputValue();
  await calls.fill(given.replace('"get_weather"', '""'));
  await expect(page.getByText('Not saved: tool_calls[0].function names no function.')).toBeVisible();
  await calls.fill(given.replace('Seoul', 'Busan'));
  await expect(page.getByText('Not saved')).toHaveCount(0);
  await page.getByLabel('Turn 4, Assistant').fill('Colder.');
  await expect(cell(page, 1, 2)).toHaveText('Colder.');
  await expect(calls).toHaveValue(/Busan/);
  await page.getByLabel('Turn 4, Assistant').blur();
  for (let edits = 0; edits < 2; edits++) await page.getByRole('button', { name: 'Undo' }).click();
  await expect(calls).toHaveValue(/Seoul/);
  await expect(cell(page, 1, 2)).toHaveText('Cold.');
});

test('a pair whose better answer calls a tool: both sides in the table, calls added and taken away, swapped', async ({ workbench }) => {
  const { page } = workbench;
  await importFile(workbench, writeRows(workbench, 'pairs.jsonl', [{ prompt: [question], chosen: [calling('Seoul')], rejected: [{ role: 'assistant', content: 'Warm.' }], tools: [TOOL] }]));
  await expect(cell(page, 1, 2)).toContainText('get_weather');
  await expect(page.getByLabel('Tool calls, Chosen')).toHaveValue(/Seoul/);
  await page.getByRole('button', { name: 'Tool calls in Rejected' }).click();
  await page.getByLabel('Tool calls, Rejected').fill('{"name": "get_weather", "arguments": {"city": "Busan"}}');
  await expect(cell(page, 1, 3)).toContainText('Busan');
  await page.getByLabel('Tool calls, Rejected').fill('');
  await expect(cell(page, 1, 3)).toHaveText('Warm.');
});
