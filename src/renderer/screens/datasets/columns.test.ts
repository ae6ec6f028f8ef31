import { expect, test } from 'vitest';
import { Example } from '../../../shared/dataset.ts';
import { columnsOf, emptyExample, hasCell, labelOf, readCell, showCell, turnsOf, writeCell } from './columns.ts';

const KINDS = ['instruction', 'conversation', 'completion', 'preference', 'unpaired', 'text'] as const;

test('every kind of row can be read and written through each of its own columns', () => {
  for (const kind of KINDS) {
    const empty = emptyExample(kind);
    expect(Example.parse(empty)).toEqual(empty);
    for (const column of columnsOf([kind]).filter((column) => column !== 'label')) {
      expect(hasCell(empty, column)).toBe(true);
      const written = writeCell(empty, column, 'a\nb');
      expect(readCell(written, column)).toBe('a\nb');
      expect(Example.parse(written)).toEqual(written);
      expect(readCell(empty, column)).toBe('');
    }
  }
});

test('the label of an answer is a mark, not a text', () => {
  const bad: Example = { kind: 'unpaired', prompt: 'q', completion: 'a', label: false };
  expect(labelOf(bad)).toBe(false);
  expect(hasCell(bad, 'label')).toBe(false);
  expect(labelOf({ kind: 'text', text: 't' })).toBeNull();
});

test('kinds together show question and answer, and a text has no question', () => {
  expect(columnsOf(['instruction', 'text', 'instruction'])).toEqual(['question', 'answer']);
  const text = { kind: 'text', text: 'once' } as const;
  expect(hasCell(text, 'question')).toBe(false);
  expect(readCell(text, 'answer')).toBe('once');
  expect(writeCell(text, 'question', 'no')).toBe(text);
});

test('a conversation shows its first question and its last answer; the turns between stay', () => {
  const talk: Example = {
    kind: 'conversation',
    messages: [
      { role: 'system', content: 's' }, { role: 'user', content: 'q1' }, { role: 'assistant', content: 'a1' }, { role: 'user', content: 'q2' }, { role: 'assistant', content: 'a2' },
    ],
  };
  expect(readCell(talk, 'question')).toBe('q1');
  expect(readCell(talk, 'answer')).toBe('a2');
  expect(turnsOf(talk)).toBe(5);
  const changed = writeCell(talk, 'answer', 'better') as typeof talk & { messages: { content: string }[] };
  expect(changed.messages.map(({ content }) => content)).toEqual(['s', 'q1', 'a1', 'q2', 'better']);
});

test('a prompt given as messages is edited in its last turn', () => {
  const pair: Example = { kind: 'preference', prompt: [{ role: 'system', content: 's' }, { role: 'user', content: 'q' }], chosen: 'c', rejected: 'r' };
  expect(readCell(pair, 'prompt')).toBe('q');
  expect(writeCell(pair, 'prompt', 'Q')).toEqual({ ...pair, prompt: [{ role: 'system', content: 's' }, { role: 'user', content: 'Q' }] });
});

test('an answer that calls tools shows its calls after its text, is edited by its text, and keeps them', () => {
  const calls = { role: 'assistant' as const, content: 'I look.', tool_calls: [{ type: 'function' as const, function: { name: 'add', arguments: { a: 1 } } }] };
  const pair: Example = { kind: 'preference', prompt: 'q', chosen: calls, rejected: 'r' };
  expect(readCell(pair, 'chosen')).toBe('I look.');
  expect(showCell(pair, 'chosen')).toBe('I look.\n{"name":"add","arguments":{"a":1}}');
  expect(writeCell(pair, 'chosen', 'Let me see.')).toEqual({ ...pair, chosen: { ...calls, content: 'Let me see.' } });
  expect(showCell({ kind: 'conversation', messages: [{ role: 'user', content: 'q' }, { ...calls, content: '' }] }, 'answer')).toBe('{"name":"add","arguments":{"a":1}}');
});
