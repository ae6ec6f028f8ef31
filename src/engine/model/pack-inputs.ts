/** What the device sees of a batch, or of tokens added to sequences of a cache: token ids, positions and the table of segments. And what of them is refused. */
import type { Batch } from '../data/batch.ts';
import type { ModelConfig } from './config.ts';
import type { CacheSequence } from './kv-cache.ts';
import { turnsLong } from './rope-table.ts';

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

/** With longrope, keys in the cache were turned by the short frequencies, and a text that outgrows them would need them all anew. */
export function checkLong(config: ModelConfig, sequence: CacheSequence, added: number): void {
  const before = (sequence.prefix?.length ?? 0) + sequence.length;
  if (before === 0 || turnsLong(config, before) === turnsLong(config, before + added)) return;
  throw new Error(
    `decode: at ${before} tokens the text passes the length this model was first trained on, where its rotary angles (longrope) change for all tokens; ` +
    'start from the whole text, or keep prompt and answer together shorter',
  );
}

/** Throws where one is not in [0, limit). */
export function checkIds(ids: Int32Array, limit: number, what: 'token' | 'target' | 'row' | 'position'): void {
  for (let i = 0; i < ids.length; i++) {
    if (ids[i]! >= 0 && ids[i]! < limit) continue;
    const remedy = what === 'position' ? `the model has ${limit} (max_position_embeddings); shorten the text` : what === 'row' ? `the batch has ${limit} rows` : `the vocabulary has ${limit}; does the tokenizer belong to this model?`;
    throw new Error(`forward: ${what} ${ids[i]} at place ${i} is out of range, ${remedy}`);
  }
}
