import { expect, test } from 'vitest';
import { formatBytes, formatSeconds, sideBySide, table } from './terminal.ts';

test('a table lines its columns up, Korean letters counted as two', () => {
  expect(table([['name', 'n'], ['가나', '1'], ['abcde', '22']])).toBe('name   n\n가나   1\nabcde  22');
});

test('two texts stand beside each other, wrapped at words and cut where a word is longer than its column', () => {
  // width 43 gives two columns of 20
  expect(sideBySide('one two three four five six', 'x'.repeat(25), 43)).toBe(
    `one two three four   │ ${'x'.repeat(20)}\nfive six             │ ${'x'.repeat(5)}`,
  );
});

test('times and sizes read as people write them', () => {
  expect([42, 61, 3700, Infinity].map(formatSeconds)).toEqual(['0:42', '1:01', '1:01:40', '–']);
  expect([999, 1500, 20_000_000, 123_400_000].map(formatBytes)).toEqual(['999 B', '1.5 kB', '20.0 MB', '123 MB']);
});
