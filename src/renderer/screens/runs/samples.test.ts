import { expect, test } from 'vitest';
import { byStep, promptText, split } from './samples.ts';

const sample = (step: number, prompt: string, completion: string) => ({ step, prompt, completion, expected: null });

test('samples stand by step, in order, each prompt once', () => {
  const steps = byStep([sample(10, 'a', 'x'), sample(0, 'a', 'w'), sample(10, 'b', 'y'), sample(10, 'a', 'z')]);
  expect(steps.map(({ step, samples }) => [step, samples.map(({ completion }) => completion)])).toEqual([[0, ['w']], [10, ['z', 'y']]]);
});

test('a conversation says who speaks, a single question does not', () => {
  expect(promptText([{ role: 'user', content: 'hi' }])).toBe('hi');
  expect(promptText([{ role: 'system', content: 'be kind' }, { role: 'user', content: 'hi' }])).toBe('system: be kind\n\nuser: hi');
});

test('marked pieces put together are the text', () => {
  expect(split('one two three', [[4, 7]])).toEqual([
    { text: 'one ', marked: false },
    { text: 'two', marked: true },
    { text: ' three', marked: false },
  ]);
  expect(split('all', [[0, 3]])).toEqual([{ text: 'all', marked: true }]);
  expect(split('', [])).toEqual([]);
});
