/** Tools on the command line: rows that call them seen as the trainer sees them, and a model that is shown some. Serving them: src/main/serving/tools.test.ts. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createWorkplace, ROOT, type Workplace } from './attune.ts';

const PLAIN = join(ROOT, 'fixtures', 'models', 'llama');
/** Calls as Hermes writes them, in a model whose vocabulary is single letters. */
const TEMPLATE = `{% if tools %}{{ '<|im_start|>system\\n' }}{% for t in tools %}{{ t | tojson }}{% endfor %}{{ '<|im_end|>' }}{% endif %}{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content }}{% for c in m.tool_calls or [] %}{{ '<tool_call>{"name": "' + c.function.name + '", "arguments": ' + (c.function.arguments | tojson) + '}</tool_call>' }}{% endfor %}{{ '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}`;
const TOOLS = [{ name: 'roll', parameters: { type: 'object', properties: { sides: { type: 'integer' } } } }];
const CALL = '<tool_call>{"name": "roll", "arguments": {"sides": 6}}</tool_call>';

let place: Workplace;
beforeEach(() => {
  place = createWorkplace();
  const model = join(place.folder, 'model');
  cpSync(PLAIN, model, { recursive: true });
  writeFileSync(join(model, 'chat_template.jinja'), TEMPLATE);
  const config = JSON.parse(readFileSync(join(model, 'config.json'), 'utf8')) as object;
  writeFileSync(join(model, 'config.json'), JSON.stringify({ ...config, max_position_embeddings: 1024 }));
  place.write('tools.json', JSON.stringify(TOOLS));
});
afterEach(() => place.remove());

test('show marks calls and answers, neither the list of tools nor results; a template without calls says so', async () => {
  const turns = [{ from: 'human', value: 'Roll' }, { from: 'function_call', value: '{"name": "roll", "arguments": {"sides": 6}}' }, { from: 'observation', value: '4' }, { from: 'gpt', value: 'Four.' }];
  place.write('rows.jsonl', `${JSON.stringify({ conversations: turns, tools: JSON.stringify(TOOLS) })}\n`);
  const { stdout } = await place.attune(['show', 'model', 'rows.jsonl']);
  expect(stdout).toContain(`<|im_start|>assistant\n⟦${CALL}<|im_end|>⟧<|im_start|>tool\n4<|im_end|><|im_start|>assistant\n⟦Four.<|im_end|>⟧`);
  expect(stdout).toContain('<|im_start|>system\n{"type": "function", "function": {"name": "roll"');
  const plain = await place.attune(['show', PLAIN, 'rows.jsonl']);
  expect(plain).toMatchObject({ code: 1, stderr: expect.stringContaining('the chat template leaves the tool calls of message 2 out') as string });
});

test('sample and chat list tools in the prompt and tell what is called; what cannot be is one sentence', async () => {
  const asked = ['sample', 'model', '--prompt', 'Roll', '--max-tokens', '90'];
  const { stdout } = await place.attune([...asked, '--tools', 'tools.json', '--regex', CALL.replace(/[{}]/g, '\\$&'), '--json']);
  expect(JSON.parse(stdout)).toMatchObject({ text: CALL, toolCalls: [{ name: 'roll', arguments: { sides: 6 } }] });
  const told = await place.attune([...asked, '--tools', 'tools.json', '--regex', CALL.replace(/[{}]/g, '\\$&')]);
  expect(told).toMatchObject({ code: 0, stdout: `${CALL}\n`, stderr: expect.stringContaining('calls roll with {"sides":6}') as string });
  const chat = await place.attune(['chat', 'model', '--tools', 'tools.json', '--max-tokens', '3'], { input: '/result 4\nRoll\n' });
  expect(chat).toMatchObject({ code: 0, stderr: expect.stringContaining('there is no call to answer') as string });
  const plain = await place.attune(['sample', PLAIN, '--prompt', 'Roll', '--tools', 'tools.json']);
  expect(plain).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('the chat template lists no tools') as string });
  place.write('bad.json', '[{"parameters": {}}]');
  expect(await place.attune([...asked, '--tools', 'bad.json'])).toMatchObject({ code: 2, stderr: 'attune: --tools bad.json: tools[0] names no function\n' });
});
