/** Packing by hand: where segments lie, which row predicts what. That packing changes no number is the model's tests' to show. */
import { expect, it } from 'vitest';
import { packPreferences, packSequences } from './pack.ts';

it('lays sequences end to end, positions from 0, and scores only targets that carry loss', () => {
  const batch = packSequences([
    { tokens: Int32Array.of(5, 6, 7), loss: Uint8Array.of(0, 0, 1) },
    { tokens: Int32Array.of(8, 9), loss: Uint8Array.of(1, 1) },
  ]);
  expect([...batch.tokens]).toEqual([5, 6, 7, 8, 9]);
  expect([...batch.positions]).toEqual([0, 1, 2, 0, 1]);
  expect(batch.segments).toEqual([{ start: 0, length: 3, prefix: null }, { start: 3, length: 2, prefix: null }]);
  // 7 is predicted from row 1, 9 from row 3; the marks on first tokens (8) have nothing before them
  expect([...batch.rows]).toEqual([1, 3]);
  expect([...batch.targets]).toEqual([7, 9]);
  expect([...batch.sequences]).toEqual([0, 1]);
});

it('holds a prompt once for both answers, whose first tokens its last token predicts', () => {
  const batch = packPreferences([{ prompt: Int32Array.of(1, 2), chosen: Int32Array.of(3, 4), rejected: Int32Array.of(5) }]);
  expect([...batch.tokens]).toEqual([1, 2, 3, 4, 5]);
  expect([...batch.positions]).toEqual([0, 1, 2, 3, 2]);
  expect(batch.segments.map(({ prefix }) => prefix)).toEqual([null, { start: 0, length: 2 }, { start: 0, length: 2 }]);
  expect([...batch.rows]).toEqual([1, 2, 1]);
  expect([...batch.targets]).toEqual([3, 4, 5]);
  expect([...batch.sequences]).toEqual([0, 0, 1]);
});
