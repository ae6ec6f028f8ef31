/** Places are found once and filled in one pass; what is no place stays as it is. */
import { expect, it } from 'vitest';
import { exampleMessages, fillTemplate, variablesOf } from './prompt-template.ts';

it('finds each place once, in any script, and leaves other braces', () => {
  expect(variablesOf('{{word}} and {{ 낱말 }}, {{word}} again; {"a": {{}}}, {{1}}, { {x} }')).toEqual(['word', '낱말']);
  expect(variablesOf('{"json": {"deep": 1}}')).toEqual([]);
});

it('fills every place in one pass: a value that looks like a place is text, and $ is a dollar', () => {
  expect(fillTemplate('{{a}}-{{ b }}-{{a}}-{{c}}', { a: '{{b}}', b: '$&' })).toBe('{{b}}-$&-{{b}}-{{c}}');
  expect(fillTemplate('{{constructor}}', {})).toBe('{{constructor}}');
});

it('shows whole examples alone', () => {
  expect(exampleMessages([{ prompt: 'a', answer: 'b' }, { prompt: 'half', answer: ' ' }])).toEqual([{ role: 'user', content: 'a' }, { role: 'assistant', content: 'b' }]);
});
