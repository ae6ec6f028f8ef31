/**
 * Which rows of a long list are in sight, and where they stand. A browser's element ends at 33.5 million physical pixels, so a list taller than
 * TALLEST scrolls in a shorter one: content position = scrollTop + offset, where the offset changes in jumps as the list goes by (SlickGrid's way).
 * Small scrolls move the rows by exactly as much; a dragged scroll bar goes to its share of the list. Pixels in, pixels out; no DOM.
 */

/** px of CSS; four physical pixels to one still fit */
export const TALLEST = 8_000_000;
/** The offset changes once in this many pixels. */
const STRETCH = TALLEST / 100;

export type Scroll = { /** of the element */ top: number; /** content position minus top */ offset: number };

/** Height of the element that scrolls. */
export function scrollHeight(contentHeight: number): number {
  return Math.min(contentHeight, TALLEST);
}

/** After the element scrolled by itself to `top`: where the content is now. The returned top differs where the element has to be moved. */
export function follow(before: Scroll, top: number, contentHeight: number, viewport: number): Scroll {
  const height = scrollHeight(contentHeight);
  if (height === contentHeight) return { top, offset: 0 };
  if (top <= 0) return { top: 0, offset: 0 };
  if (top >= height - viewport) return { top, offset: contentHeight - height };
  if (Math.abs(top - before.top) < viewport) return place(top + before.offset, contentHeight, viewport);
  const content = top * ((contentHeight - viewport) / (height - viewport));
  return { top, offset: Math.round(Math.min(content - top, contentHeight - height)) };
}

/** Where to scroll so that the content position is at the top. */
export function place(content: number, contentHeight: number, viewport: number): Scroll {
  const height = scrollHeight(contentHeight);
  const at = Math.max(0, Math.min(content, contentHeight - viewport));
  if (height === contentHeight) return { top: at, offset: 0 };
  const stretches = Math.ceil(contentHeight / STRETCH) - 1;
  const stretch = Math.min(stretches, Math.floor(at / STRETCH));
  const offset = Math.round((stretch * (contentHeight - height)) / stretches);
  return { top: at - offset, offset };
}

/** First row in sight and the one after the last, with `margin` rows more on both sides. */
export function rowsInSight(content: number, viewport: number, rowHeight: number, count: number, margin: number): { first: number; end: number } {
  const first = Math.max(0, Math.floor(content / rowHeight) - margin);
  return { first, end: Math.min(count, Math.ceil((content + viewport) / rowHeight) + margin) };
}

/** The content position that brings a row into sight with the least movement. */
export function reveal(row: number, content: number, viewport: number, rowHeight: number): number {
  const top = row * rowHeight;
  if (top < content) return top;
  return top + rowHeight > content + viewport ? top + rowHeight - viewport : content;
}
