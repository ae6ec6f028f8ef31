import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readPrompts } from './prompts.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'attune-prompts-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function prompts(name: string, text: string) {
  writeFileSync(join(folder, name), text);
  return readPrompts(join(folder, name)).map(({ messages }) => messages);
}
const user = (content: string) => [{ role: 'user', content }];

test('plain text has a prompt a line', () => {
  expect(prompts('p.txt', 'one\n\n{"two": 2}\r\n')).toEqual([user('one'), user('{"two": 2}')]);
});

test('JSONL rows may be texts, prompts, instructions or conversations, whose answers are left out', () => {
  const rows = [
    'a',
    { prompt: 'b', chosen: 'x', rejected: 'y' },
    { instruction: 'c', input: 'd', output: 'x' },
    { messages: [{ role: 'system', content: 's' }, { role: 'user', content: 'e' }, { role: 'assistant', content: 'x' }] },
    { prompt: [{ role: 'user', content: 'f' }] },
  ];
  expect(prompts('p.jsonl', rows.map((row) => JSON.stringify(row)).join('\n'))).toEqual([
    user('a'), user('b'), user('c\nd'), [{ role: 'system', content: 's' }, ...user('e')], user('f'),
  ]);
  expect(prompts('p.json', JSON.stringify(rows))).toHaveLength(5);
});

test('a row that is no prompt is told with file and line', () => {
  expect(() => prompts('bad.jsonl', '"good"\n{"question": "?"}')).toThrow(/bad\.jsonl:2: not a prompt/);
  expect(() => prompts('worse.jsonl', '{oops')).toThrow(/worse\.jsonl:1: not JSON/);
  expect(() => prompts('empty.txt', '\n')).toThrow(/empty\.txt: there is no prompt in it/);
});
