/**
 * Where answers differ, by words (Unicode's, so Korean and Chinese too): two columns each against the other, more of them each against the first,
 * whose own words are then left unmarked. Blanks never count as a difference.
 */
import { diffArrays } from 'diff';

/** Half-open ranges of characters, in order, not touching. */
export type Range = readonly [start: number, end: number];

/** `words`: how many of the text's words differ, punctuation left out. */
export type WordMarks = { ranges: Range[]; words: number };

type Word = { start: number; end: number; text: string; isWord: boolean };

/** Texts of more words than this are not compared: the eye could not either, and the window would wait. */
const MOST_WORDS = 6000;

const segmenter = new Intl.Segmenter('und', { granularity: 'word' });

/** One entry a text; null where nothing is compared (one text alone, the first of three or more, one too long). */
export function markDifferences(texts: readonly string[]): (WordMarks | null)[] {
  if (texts.length < 2) return texts.map(() => null);
  const words = texts.map(splitWords);
  if (texts.length === 2) {
    const both = compare(words[0], words[1]);
    return both ? [both.first, both.second] : [null, null];
  }
  return words.map((own, i) => (i === 0 ? null : (compare(words[0], own)?.second ?? null)));
}

function splitWords(text: string): Word[] {
  return Array.from(segmenter.segment(text), ({ segment, index, isWordLike }) => ({
    start: index, end: index + segment.length, text: segment, isWord: isWordLike === true,
  })).filter(({ text }) => text.trim() !== '');
}

function compare(first: Word[], second: Word[]): { first: WordMarks; second: WordMarks } | null {
  if (Math.max(first.length, second.length) > MOST_WORDS) return null;
  const marks = { first: { ranges: [] as Range[], words: 0 }, second: { ranges: [] as Range[], words: 0 } };
  let [i, j] = [0, 0];
  for (const { added, removed, count } of diffArrays(first.map(({ text }) => text), second.map(({ text }) => text))) {
    if (removed) addMark(marks.first, first.slice(i, i + count));
    else if (added) addMark(marks.second, second.slice(j, j + count));
    if (!added) i += count;
    if (!removed) j += count;
  }
  return marks;
}

function addMark(marks: WordMarks, words: Word[]): void {
  marks.ranges.push([words[0].start, words.at(-1)!.end]);
  marks.words += words.filter(({ isWord }) => isWord).length;
}
