/** What the device sees of a batch, or of tokens added to sequences of a cache: token ids, positions and the table of segments. It checks no ids. */
import type { Batch } from '../data/batch.ts';
import type { CacheSequence } from './kv-cache.ts';

/** What the device sees of a batch; segments is (S, 6), see Device.attention. */
export type Packed = { tokens: Int32Array; positions: Int32Array; segments: Int32Array };

export function packBatch(batch: Pick<Batch, 'tokens' | 'positions' | 'segments'>): Packed {
  const segments = batch.segments.flatMap(({ start, length, prefix }) => [start, length, prefix?.start ?? 0, prefix?.length ?? 0, start, length]);
  return { tokens: batch.tokens, positions: batch.positions, segments: Int32Array.from(segments) };
}

/** Keys of the longest text of a segment table. */
export function longestText(segments: Int32Array): number {
  let longest = 0;
  for (let at = 0; at < segments.length; at += 6) longest = Math.max(longest, segments[at + 3]! + segments[at + 5]!);
  return longest;
}

/** Places new tokens at the end of their sequences, whose lengths grow by them. */
export function packDecode(inputs: { sequence: CacheSequence; tokens: ArrayLike<number> }[]) {
  const tokens: number[] = [], positions: number[] = [], segments: number[] = [], lastRows: number[] = [];
  const moves: { from: number; to: number; length: number }[] = [];
  for (const { sequence, tokens: added } of inputs) {
    if (added.length === 0) throw new Error('decode: a sequence got no tokens; give at least one, or leave it out');
    if (sequence.children > 0) throw new Error('decode: open sequences continue this prefix, so it cannot grow; close them first');
    if (sequence.length + added.length > sequence.capacity) {
      throw new Error(`decode: ${added.length} tokens after ${sequence.length} do not fit a sequence opened for ${sequence.capacity}; open it with more room`);
    }
  }
  for (const { sequence, tokens: added } of inputs) {
    const { start, prefix } = sequence;
    const before = (prefix?.length ?? 0) + sequence.length;
    moves.push({ from: tokens.length, to: start + sequence.length, length: added.length });
    segments.push(tokens.length, added.length, prefix?.start ?? 0, prefix?.length ?? 0, start, sequence.length + added.length);
    for (let i = 0; i < added.length; i++) {
      tokens.push(added[i]!);
      positions.push(before + i);
    }
    lastRows.push(tokens.length - 1);
    sequence.length += added.length;
  }
  return {
    tokens: Int32Array.from(tokens), positions: Int32Array.from(positions), segments: Int32Array.from(segments), lastRows: Int32Array.from(lastRows), moves,
  };
}
