/** Differences between answers fall on the words a reader would point at. */
import { describe, expect, it } from 'vitest';
import { markDifferences } from './word-diff.ts';

const marked = (texts: string[]) => markDifferences(texts).map((marks, i) => marks && marks.ranges.map(([start, end]) => texts[i].slice(start, end)));

describe('markDifferences', () => {
  it('marks each of two answers against the other', () => {
    expect(marked(['A dog is a kind of animal.', 'A dog is a sort of tame animal.'])).toEqual([['kind'], ['sort', 'tame']]);
  });
  it('marks three or more against the first', () => {
    expect(marked(['one two three', 'one two four', 'one two three'])).toEqual([null, ['four'], []]);
  });
  it('does not count blanks', () => {
    expect(marked(['one  two\n three', 'one two three four'])).toEqual([[], ['four']]);
  });
  it('finds a repeated word at its own place', () => {
    const texts = ['the cat and the dog', 'the cat and the the dog'];
    const marks = markDifferences(texts);
    expect(marks[0]!.ranges).toEqual([]);
    expect(marks[1]!.words).toBe(1);
  });
  it('compares Korean by its words', () => {
    expect(marked(['나는 학교에 간다', '나는 집에 간다'])).toEqual([['학교에'], ['집에']]);
  });
  it('leaves one answer alone unmarked', () => {
    expect(markDifferences(['one'])).toEqual([null]);
  });
});
