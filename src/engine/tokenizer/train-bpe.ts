/**
 * Trains a byte-level BPE tokenizer (Sennrich et al. 2016, over bytes as in GPT-2) and spells it as a Hugging Face tokenizer.json.
 * Texts are split by GPT-2's pattern, words are counted once, and every merge touches only the words that hold its pair.
 * Deterministic: the most frequent pair wins, ties go to the smaller (left id, right id). That is the rule of the `tokenizers`
 * package's BpeTrainer, whose result this equals on the same texts. Not here: encoding (tokenizer.ts).
 */

/** GPT-2's pre-tokenizer. \p{White_Space} rather than \s: JavaScript's \s counts U+FEFF as space and U+0085 as none. */
const GPT2_PATTERN =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/** GPT-2's byte alphabet: byte → the printable character that stands for it in the vocabulary. */
export const BYTE_CHARACTERS: readonly string[] = byteCharacters();

export type TokenizerJson = {
  version: '1.0';
  truncation: null;
  padding: null;
  added_tokens: {
    id: number;
    content: string;
    single_word: false;
    lstrip: false;
    rstrip: false;
    normalized: false;
    special: true;
  }[];
  normalizer: null;
  pre_tokenizer: ByteLevel;
  post_processor: null;
  decoder: ByteLevel;
  model: {
    type: 'BPE';
    dropout: null;
    unk_token: null;
    continuing_subword_prefix: null;
    end_of_word_suffix: null;
    fuse_unk: false;
    byte_fallback: false;
    ignore_merges: false;
    vocab: Record<string, number>;
    merges: [string, string][];
  };
};

type ByteLevel = { type: 'ByteLevel'; add_prefix_space: false; trim_offsets: true; use_regex: true };

/**
 * @param vocabSize tokens in all: special ones, the 256 bytes, then merges; fewer when the texts hold no more pairs
 * @param specialTokens get the first ids, in this order
 */
export function trainBpe(texts: Iterable<string>, options: { vocabSize: number; specialTokens: string[] }): TokenizerJson {
  const { vocabSize, specialTokens } = options;
  const smallest = specialTokens.length + 256;
  if (!Number.isInteger(vocabSize) || vocabSize < smallest) {
    throw new Error(
      `trainBpe: vocabSize (${vocabSize}) must be an integer of at least ${smallest}: ` +
        `256 bytes and ${specialTokens.length} special tokens; raise vocabSize.`,
    );
  }
  if (vocabSize >= PAIR_BASE) throw new Error(`trainBpe: vocabSize (${vocabSize}) must be below ${PAIR_BASE}.`);
  if (new Set(specialTokens).size !== specialTokens.length) throw new Error('trainBpe: specialTokens holds the same token twice.');

  const tokens = [...specialTokens, ...[...BYTE_CHARACTERS].sort()];
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const { words, counts } = countWords(texts, ids);
  const merges: [string, string][] = [];

  const pairCounts = new Map<number, number>();
  const pairWords = new Map<number, number[]>(); // may name a word that has lost the pair since: it is then passed over
  const noteWord = (pair: number, word: number) => {
    const list = pairWords.get(pair);
    if (list === undefined) pairWords.set(pair, [word]);
    else if (list[list.length - 1] !== word) list.push(word);
  };
  words.forEach((word, index) => {
    for (let i = 0; i + 1 < word.length; i++) {
      const pair = pairOf(word[i], word[i + 1]);
      pairCounts.set(pair, (pairCounts.get(pair) ?? 0) + counts[index]);
      noteWord(pair, index);
    }
  });
  const heap = new PairHeap();
  for (const [pair, count] of pairCounts) heap.push(pair, count);

  while (tokens.length < vocabSize) {
    const top = heap.pop();
    if (top === null) break;
    const count = pairCounts.get(top.pair) ?? 0;
    if (count <= 0) continue;
    if (count !== top.count) {
      heap.push(top.pair, count); // counts only fall between push and pop: put it back where it belongs now
      continue;
    }
    const left = Math.floor(top.pair / PAIR_BASE);
    const right = top.pair % PAIR_BASE;
    const text = tokens[left] + tokens[right];
    let id = ids.get(text); // another pair may have spelled the same bytes already
    if (id === undefined) {
      id = tokens.length;
      tokens.push(text);
      ids.set(text, id);
    }
    merges.push([tokens[left], tokens[right]]);

    const grown = new Set<number>();
    const change = (pair: number, by: number) => pairCounts.set(pair, (pairCounts.get(pair) ?? 0) + by);
    for (const index of pairWords.get(top.pair) ?? []) {
      const word = words[index];
      const n = counts[index];
      for (let i = 0; i + 1 < word.length; i++) {
        if (word[i] !== left || word[i + 1] !== right) continue;
        if (i > 0) {
          change(pairOf(word[i - 1], left), -n);
          const formed = pairOf(word[i - 1], id);
          change(formed, n);
          noteWord(formed, index);
          grown.add(formed);
        }
        word[i] = id;
        word.splice(i + 1, 1);
        if (i + 1 < word.length) {
          change(pairOf(right, word[i + 1]), -n);
          const formed = pairOf(id, word[i + 1]);
          change(formed, n);
          noteWord(formed, index);
          grown.add(formed);
        }
      }
    }
    pairCounts.delete(top.pair);
    pairWords.delete(top.pair);
    for (const pair of grown) {
      const now = pairCounts.get(pair) ?? 0;
      if (now > 0) heap.push(pair, now);
    }
  }
  return tokenizerJson(tokens, merges, specialTokens);
}

/** A pair of ids as one number that sorts like (left, right). */
const PAIR_BASE = 2 ** 24;
const pairOf = (left: number, right: number) => left * PAIR_BASE + right;

/** Distinct pre-tokenizer words as ids of their bytes, with how often each stands in the texts. */
function countWords(texts: Iterable<string>, ids: Map<string, number>): { words: number[][]; counts: number[] } {
  const table = new Map<string, number>();
  for (const text of texts) {
    for (const [word] of text.matchAll(GPT2_PATTERN)) table.set(word, (table.get(word) ?? 0) + 1);
  }
  const byteIds = BYTE_CHARACTERS.map((character) => ids.get(character) as number);
  const encoder = new TextEncoder();
  return {
    words: [...table.keys()].map((word) => Array.from(encoder.encode(word), (byte) => byteIds[byte])),
    counts: [...table.values()],
  };
}

/** A max-heap of (count, pair): larger count first, then the smaller pair. */
class PairHeap {
  readonly #pairs: number[] = [];
  readonly #counts: number[] = [];

  push(pair: number, count: number): void {
    let at = this.#pairs.length;
    this.#pairs.push(pair);
    this.#counts.push(count);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#before(at, parent)) break;
      this.#swap(at, parent);
      at = parent;
    }
  }

  pop(): { pair: number; count: number } | null {
    const size = this.#pairs.length;
    if (size === 0) return null;
    this.#swap(0, size - 1);
    const pair = this.#pairs.pop() as number;
    const count = this.#counts.pop() as number;
    let at = 0;
    for (;;) {
      let first = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < this.#pairs.length && this.#before(child, first)) first = child;
      }
      if (first === at) return { pair, count };
      this.#swap(at, first);
      at = first;
    }
  }

  #before(a: number, b: number): boolean {
    return this.#counts[a] !== this.#counts[b] ? this.#counts[a] > this.#counts[b] : this.#pairs[a] < this.#pairs[b];
  }

  #swap(a: number, b: number): void {
    [this.#pairs[a], this.#pairs[b]] = [this.#pairs[b], this.#pairs[a]];
    [this.#counts[a], this.#counts[b]] = [this.#counts[b], this.#counts[a]];
  }
}

function tokenizerJson(tokens: string[], merges: [string, string][], specialTokens: string[]): TokenizerJson {
  const byteLevel: ByteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specialTokens.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
}

/** Printable Latin-1 bytes stand for themselves; the other 68 are moved to U+0100 and on, in order (GPT-2's bytes_to_unicode). */
function byteCharacters(): string[] {
  let moved = 0;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    return String.fromCodePoint(printable ? byte : 256 + moved++);
  });
}
