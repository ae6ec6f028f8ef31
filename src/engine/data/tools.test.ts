import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { createTokenizer, type Tokenizer } from '../tokenizer/tokenizer.ts';
import { trainBpe } from '../tokenizer/train-bpe.ts';
import { preparePreferences, prepareSequences, prepareUnpaired } from './prepare.ts';

const folder = mkdtempSync(join(tmpdir(), 'attune-tools-'));
afterAll(() => rmSync(folder, { recursive: true }));

const json = trainBpe([], { vocabSize: 260, specialTokens: ['<s>', '</s>'] });
const make = (chatTemplate: string): Tokenizer => createTokenizer(json as never, { eos_token: '</s>' }, { where: '', eos: [], chatTemplate });
const MESSAGES = "{% for m in messages %}{{ '<s>' + m.role + '\\n' + m.content }}CALLS{{ '</s>' }}{% endfor %}{% if add_generation_prompt %}{{ '<s>assistant\\n' }}{% endif %}";
const withTools = make(`{% for t in tools or [] %}{{ t | tojson }}{% endfor %}${MESSAGES.replace('CALLS', "{% for c in m.tool_calls or [] %}{{ '#' + c.function.name + (c.function.arguments | tojson) }}{% endfor %}")}`);
const without = make(MESSAGES.replace('CALLS', ''));

const tools = [{ type: 'function', function: { name: 'add' } }];
const user = { role: 'user', content: 'q' };
const calling = { role: 'assistant', content: '', tool_calls: [{ type: 'function', function: { name: 'add', arguments: { a: 1 } } }] };
const rows = (...all: object[]): string => {
  const path = join(folder, 'rows.jsonl');
  writeFileSync(path, all.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return path;
};
const settings = (tokenizer: Tokenizer, warned: string[]) => ({ template: 'chat' as const, tokenizer, maxLength: 500, completionOnlyLoss: true, warn: (text: string) => void warned.push(text) });

it('rows whose tools a template leaves out are trained on and told; rows whose calls it leaves out are left out and told', async () => {
  const path = rows({ kind: 'conversation', messages: [user, { role: 'assistant', content: 'no' }], tools }, { kind: 'conversation', messages: [user, calling], tools });
  const warned: string[] = [];
  expect(await prepareSequences(path, settings(without, warned))).toHaveLength(1);
  expect(warned).toEqual([
    '2 of 2 rows list tools, which the chat template leaves out: the model learns to answer without seeing them',
    expect.stringMatching(/^1 of 2 rows were left out; the first because the chat template leaves the tool calls of message 2 out/),
  ]);
  const quiet: string[] = [];
  expect(await prepareSequences(path, settings(withTools, quiet))).toHaveLength(2);
  expect(quiet).toEqual([]);
});

it('a pair that calls on one side shares its prompt with the list of tools; unpaired it is two answers to the same', async () => {
  const path = rows({ kind: 'preference', prompt: 'q', tools, chosen: calling, rejected: 'no' });
  const text = (ids: ArrayLike<number>) => withTools.decode(ids, { skipSpecialTokens: false });
  const [pair] = await preparePreferences(path, settings(withTools, []));
  expect([pair.prompt, pair.chosen, pair.rejected].map(text)).toEqual(['{"type": "function", "function": {"name": "add"}}<s>user\nq</s><s>assistant\n', '#add{"a": 1}</s>', 'no</s>']);
  const unpaired = await prepareUnpaired(path, settings(withTools, []));
  expect(unpaired.map(({ prompt, completion, label }) => [text(prompt), text(completion), label])).toEqual([[text(pair.prompt), '#add{"a": 1}</s>', true], [text(pair.prompt), 'no</s>', false]]);
});
