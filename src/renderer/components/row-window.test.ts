import { describe, expect, test } from 'vitest';
import { follow, place, reveal, rowsInSight, scrollHeight, TALLEST, type Scroll } from './row-window.ts';

const ROW = 32;
const VIEW = 640;
const MILLION = 1_000_000 * ROW;
const contentOf = ({ top, offset }: Scroll): number => top + offset;

describe('a list of a million rows', () => {
  test('is not taller than an element may be', () => {
    expect(scrollHeight(MILLION)).toBe(TALLEST);
    expect(scrollHeight(3200)).toBe(3200);
  });

  test('moves by exactly as much as a wheel turns, over many jumps of the offset, both ways', () => {
    let scroll: Scroll = { top: 0, offset: 0 };
    let wanted = 0;
    for (const step of [100, -100]) {
      for (let i = 0; i < 5000; i++) {
        wanted += step;
        scroll = follow(scroll, scroll.top + step, MILLION, VIEW);
        expect(contentOf(scroll)).toBeCloseTo(wanted, 6);
        expect(scroll.top).toBeGreaterThanOrEqual(0);
        expect(scroll.top).toBeLessThanOrEqual(TALLEST - VIEW);
        if (wanted === 0) return;
      }
    }
  });

  test('a dragged scroll bar goes to its share of the list', () => {
    const half = follow({ top: 0, offset: 0 }, (TALLEST - VIEW) / 2, MILLION, VIEW);
    expect(contentOf(half)).toBeCloseTo((MILLION - VIEW) / 2, 0);
    expect(half.top).toBe((TALLEST - VIEW) / 2);
  });

  test('both ends can be reached', () => {
    expect(contentOf(follow({ top: 5, offset: 0 }, TALLEST - VIEW, MILLION, VIEW))).toBe(MILLION - VIEW);
    expect(contentOf(follow({ top: 900, offset: 40 }, 0, MILLION, VIEW))).toBe(0);
    expect(contentOf(place(MILLION, MILLION, VIEW))).toBe(MILLION - VIEW);
    expect(contentOf(place(-5, MILLION, VIEW))).toBe(0);
  });

  test('every place can be gone to, and going there by place or by wheel is the same', () => {
    for (const content of [0, 31, 80_000, 79_999, 16_000_000, MILLION - VIEW]) expect(contentOf(place(content, MILLION, VIEW))).toBe(content);
  });
});

test('a short list scrolls as it is', () => {
  expect(follow({ top: 0, offset: 0 }, 77, 3200, VIEW)).toEqual({ top: 77, offset: 0 });
  expect(place(77, 3200, VIEW)).toEqual({ top: 77, offset: 0 });
});

test('rows in sight come with a margin and end with the list', () => {
  expect(rowsInSight(0, VIEW, ROW, 1000, 5)).toEqual({ first: 0, end: 25 });
  expect(rowsInSight(320, VIEW, ROW, 1000, 5)).toEqual({ first: 5, end: 35 });
  expect(rowsInSight(320, VIEW, ROW, 12, 5)).toEqual({ first: 5, end: 12 });
});

test('a row is brought into sight with the least movement', () => {
  expect(reveal(3, 0, VIEW, ROW)).toBe(0);
  expect(reveal(20, 0, VIEW, ROW)).toBe(32);
  expect(reveal(3, 320, VIEW, ROW)).toBe(96);
});
