import { expect, test } from 'vitest';
import { joinPieces, showSpaces } from './token-pieces.ts';

test('tokens with the same mask become one piece, and no text is lost', () => {
  const pieces = [
    { id: 1, text: 'a', loss: false }, { id: 2, text: ' b', loss: false }, { id: 3, text: ' c', loss: true }, { id: 4, text: '\n', loss: true }, { id: 5, text: 'd', loss: false },
  ];
  expect(joinPieces(pieces)).toEqual([{ id: 1, text: 'a b', loss: false }, { id: 3, text: ' c\n', loss: true }, { id: 5, text: 'd', loss: false }]);
  expect(pieces[0].text).toBe('a');
  expect(joinPieces([])).toEqual([]);
});

test('a token of spaces can be seen', () => {
  expect(showSpaces(' a\n')).toBe('·a⏎\n');
});
