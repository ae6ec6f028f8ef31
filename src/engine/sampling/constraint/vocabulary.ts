/**
 * A tokenizer's tokens as one tree of bytes, laid out flat in the order a walk meets them, so that all tokens that may come next are found in one
 * pass that skips whole branches. Control tokens are not in it: a constrained text has none but the one that ends it.
 */
import type { Tokenizer } from '../../tokenizer/tokenizer.ts';

export type Vocabulary = {
  /** Of a mask. */
  words: number;
  /** Of the n-th node in the walk: its byte, its depth (from 1), and where the walk goes on when nothing below it fits. */
  bytes: Uint8Array;
  depths: Uint16Array;
  skips: Int32Array;
  /** Its token, or -1; others of the same bytes are in `twins`. */
  ids: Int32Array;
  twins: Map<number, number[]>;
  deepest: number;
  /** The token of each single byte, or -1. */
  byteIds: Int32Array;
  endIds: number[];
  /** Null: a control token. */
  bytesOf(id: number): Uint8Array | null;
};

const known = new WeakMap<Tokenizer, Vocabulary>();

export function vocabularyOf(tokenizer: Tokenizer): Vocabulary {
  let vocabulary = known.get(tokenizer);
  if (!vocabulary) known.set(tokenizer, (vocabulary = createVocabulary(tokenizer)));
  return vocabulary;
}

function createVocabulary(tokenizer: Tokenizer): Vocabulary {
  const bytesOf = Array.from({ length: tokenizer.vocabSize }, (_, id) => (tokenizer.eosIds.includes(id) ? null : tokenizer.tokenBytes(id)));
  const tokens = bytesOf.flatMap((bytes, id) => (bytes !== null && bytes.length > 0 ? [{ id, bytes }] : [])).sort((a, b) => Buffer.compare(a.bytes, b.bytes) || a.id - b.id);
  const bytes: number[] = [], depths: number[] = [], ids: number[] = [], skips: number[] = [];
  const twins = new Map<number, number[]>();
  const open: number[] = []; // nodes on the way to the token before
  let before: Uint8Array = new Uint8Array();
  for (const token of tokens) {
    let shared = 0;
    while (shared < before.length && before[shared] === token.bytes[shared]) shared++;
    if (shared === token.bytes.length && shared === before.length) {
      const first = ids[open.at(-1)!];
      twins.set(first, [...(twins.get(first) ?? []), token.id]);
      continue;
    }
    for (const node of open.splice(shared)) skips[node] = bytes.length;
    for (let i = shared; i < token.bytes.length; i++) {
      open.push(bytes.length);
      bytes.push(token.bytes[i]);
      depths.push(i + 1);
      ids.push(i === token.bytes.length - 1 ? token.id : -1);
      skips.push(0);
    }
    before = token.bytes;
  }
  for (const node of open) skips[node] = bytes.length;
  const byteIds = new Int32Array(256).fill(-1);
  for (const token of tokens) if (token.bytes.length === 1 && byteIds[token.bytes[0]] < 0) byteIds[token.bytes[0]] = token.id;
  return {
    words: (tokenizer.vocabSize + 31) >> 5,
    bytes: Uint8Array.from(bytes), depths: Uint16Array.from(depths), ids: Int32Array.from(ids), skips: Int32Array.from(skips),
    twins, deepest: depths.reduce((most, depth) => Math.max(most, depth), 0), byteIds,
    endIds: tokenizer.eosIds.filter((id) => id < tokenizer.vocabSize),
    bytesOf: (id) => bytesOf[id] ?? null,
  };
}
