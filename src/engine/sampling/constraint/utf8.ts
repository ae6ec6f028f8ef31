/** Code points as byte sequences: UTF-8, and the one way each is written inside a JSON string. After Cox's range splitting (RE2, rust's utf8-ranges). */
import type { Ranges } from './expression.ts';

/** One inclusive byte range a place. */
export type ByteSequence = readonly (readonly [number, number])[];

const encode = (point: number): number[] => Array.from(new TextEncoder().encode(String.fromCodePoint(point)));
/** The last code point of each length. */
const LAST = [0x7f, 0x7ff, 0xffff, 0x10ffff];

/** Sequences that together match the UTF-8 of exactly these code points. */
export function utf8Sequences(ranges: Ranges): ByteSequence[] {
  return ranges.flatMap(([low, high]) => rangeSequences(low, high));
}

function rangeSequences(low: number, high: number): ByteSequence[] {
  if (low > high) return [];
  if (low <= 0xdfff && high >= 0xd800) return [...rangeSequences(low, 0xd7ff), ...rangeSequences(0xe000, high)];
  for (const last of LAST) if (low <= last && last < high) return [...rangeSequences(low, last), ...rangeSequences(last + 1, high)];
  const length = LAST.findIndex((last) => high <= last) + 1;
  // where the trailing bytes do not span their whole range, the head and the tail are cut off
  for (let i = 1; i < length; i++) {
    const mask = (1 << (6 * i)) - 1;
    if ((low & ~mask) === (high & ~mask)) continue;
    if ((low & mask) !== 0) return [...rangeSequences(low, low | mask), ...rangeSequences((low | mask) + 1, high)];
    if ((high & mask) !== mask) return [...rangeSequences(low, (high & ~mask) - 1), ...rangeSequences(high & ~mask, high)];
  }
  const first = encode(low), last = encode(high);
  return [first.map((byte, i) => [byte, last[i]] as const)];
}

const SHORT: Record<number, string> = { 0x08: 'b', 0x09: 't', 0x0a: 'n', 0x0c: 'f', 0x0d: 'r', 0x22: '"', 0x5c: '\\' };

/** As JSON.stringify writes them inside a string: one way each, so that a name or a value has one spelling. */
export function jsonSequences(ranges: Ranges): ByteSequence[] {
  const sequences: ByteSequence[] = [];
  const escape = (string: string): ByteSequence => Array.from(string, (char) => [char.charCodeAt(0), char.charCodeAt(0)] as const);
  for (const [low, high] of ranges) {
    let from = low;
    for (let point = low; point <= Math.min(high, 0x5c); point++) {
      if (point >= 0x20 && SHORT[point] === undefined) continue;
      if (from < point) sequences.push(...rangeSequences(from, point - 1));
      sequences.push(escape(SHORT[point] === undefined ? `\\u${point.toString(16).padStart(4, '0')}` : `\\${SHORT[point]}`));
      from = point + 1;
    }
    sequences.push(...rangeSequences(from, high));
  }
  return sequences;
}
