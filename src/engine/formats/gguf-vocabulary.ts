/**
 * The tokenizer in a GGUF file's metadata, as tokenizer.json and tokenizer_config.json would have it: the way back of gguf-tokenizer.ts.
 * Byte-level BPE comes with its merges and the name of a pre-tokenizer; of SentencePiece-like BPE the file has only scores, from which the
 * merges follow: every split of a piece into two others, the highest score first. Names of which the split is not known are refused.
 */

const NORMAL = 1, CONTROL = 3, USER_DEFINED = 4;
const BYTE_FALLBACK = 'llama', BYTE_LEVEL = 'gpt2';

const split = (regex: string) => ({ type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false });
const byteLevel = (useRegex: boolean) => ({ type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: useRegex });
/** Each number sign by itself, ½ too. */
const digits = split('\\p{N}');
const CONTRACTED = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|";
const REST = '| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

const GPT2 = [byteLevel(true)];
const SINGLE_DIGITS = [digits, byteLevel(true)];
const QWEN2 = [split(`${CONTRACTED}\\p{N}${REST}`), byteLevel(false)];
const LLAMA3 = [split(`${CONTRACTED}\\p{N}{1,3}${REST}`), byteLevel(false)];
const DEEPSEEK_CODER = [split('[\\r\\n]'), split('\\s?\\p{L}+'), split('\\s?\\p{P}+'), split('[一-龥ࠀ-一가-퟿]+'), digits, byteLevel(false)];

/** llama.cpp's names of pre-tokenizers, by what they do. */
const PRE: Record<string, object[]> = {
  'gpt-2': GPT2, mpt: GPT2, olmo: GPT2, jais: GPT2, 'phi-2': GPT2,
  smollm: SINGLE_DIGITS, starcoder: SINGLE_DIGITS, refact: SINGLE_DIGITS, 'command-r': SINGLE_DIGITS, codeshell: SINGLE_DIGITS,
  qwen2: QWEN2, stablelm2: QWEN2, 'deepseek-r1-qwen': QWEN2,
  'llama-bpe': LLAMA3, llama3: LLAMA3, 'llama-v3': LLAMA3, dbrx: LLAMA3, 'smaug-bpe': LLAMA3,
  'deepseek-coder': DEEPSEEK_CODER,
};

export type Vocabulary = {
  /** As tokenizer.json, and as tokenizer_config.json. */
  json: Record<string, unknown>;
  config: Record<string, unknown>;
  /** Other ends of an answer than the eos token. */
  eos: number[];
  chatTemplate: string | null;
  /** Those of other names than the default. */
  namedTemplates: Record<string, string>;
};

/** @param metadata the file's; @param path for error sentences */
export function readVocabulary(metadata: Map<string, unknown>, path: string): Vocabulary {
  const fail = (what: string): never => {
    throw new Error(`${path}: ${what}; use the Hugging Face folder the file was made from`);
  };
  const of = (key: string): unknown => metadata.get(`tokenizer.ggml.${key}`);
  const list = <T>(key: string, kind: string, wanted?: number): T[] => {
    const values = of(key);
    if (!Array.isArray(values) || values.some((value) => typeof value !== kind)) return fail(`tokenizer.ggml.${key} is not a list of ${kind}s`);
    if (wanted !== undefined && values.length !== wanted) return fail(`tokenizer.ggml.${key} has ${values.length} entries for ${wanted} tokens`);
    return values as T[];
  };
  const tokens = list<string>('tokens', 'string');
  const kind = of('model');
  if (kind !== BYTE_LEVEL && kind !== BYTE_FALLBACK) return fail(`its vocabulary is of kind ${JSON.stringify(kind)}; read are gpt2 (byte-level BPE) and llama (SentencePiece)`);
  const types = of('token_type') === undefined ? tokens.map(() => NORMAL) : list<number>('token_type', 'number', tokens.length);
  const added = tokens.flatMap((content, id) => (types[id] === CONTROL || types[id] === USER_DEFINED
    ? [{ id, content, special: types[id] === CONTROL, single_word: false, lstrip: false, rstrip: false, normalized: false }] : []));
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const id = (name: string): number | undefined => {
    const value = of(`${name}_token_id`);
    return typeof value === 'number' && value < tokens.length ? value : undefined;
  };
  const named = { bos_token: id('bos'), eos_token: id('eos'), unk_token: id('unknown'), pad_token: id('padding'), sep_token: id('seperator'), mask_token: id('mask') };
  const config = Object.fromEntries(Object.entries(named).flatMap(([name, at]) => (at === undefined ? [] : [[name, tokens[at]!]])));
  const asBytes = kind === BYTE_FALLBACK;
  const model = asBytes
    ? { type: 'BPE', unk_token: config.unk_token ?? '<unk>', fuse_unk: true, byte_fallback: true, vocab, merges: mergesOf(tokens, types, list<number>('scores', 'number', tokens.length)) }
    : { type: 'BPE', vocab, merges: list<string>('merges', 'string'), ignore_merges: preOf(of('pre'), fail) === LLAMA3 };
  const bos = of('add_bos_token') ?? (asBytes || preOf(of('pre'), fail) === LLAMA3);
  const template = metadata.get('tokenizer.chat_template');
  return {
    json: {
      model, added_tokens: added,
      ...(asBytes ? sentencePiece(of('add_space_prefix') !== false) : { normalizer: null, pre_tokenizer: { type: 'Sequence', pretokenizers: preOf(of('pre'), fail) }, decoder: byteLevel(true) }),
      post_processor: bos === true && named.bos_token !== undefined ? startsWith(config.bos_token!, named.bos_token) : null,
    },
    config,
    eos: ['eot', 'eom'].map(id).filter((at) => at !== undefined),
    chatTemplate: typeof template === 'string' ? template : null,
    namedTemplates: namedTemplates(metadata),
  };
}

function namedTemplates(metadata: Map<string, unknown>): Record<string, string> {
  const prefix = 'tokenizer.chat_template.';
  return Object.fromEntries([...metadata].flatMap(([key, value]) => (key.startsWith(prefix) && typeof value === 'string' ? [[key.slice(prefix.length), value]] : [])));
}

function preOf(name: unknown, fail: (what: string) => never): object[] {
  const pre = name === undefined || name === 'default' ? 'gpt-2' : String(name);
  return Object.hasOwn(PRE, pre) ? PRE[pre]! : fail(`its pre-tokenizer ${pre} is none of ${Object.keys(PRE).join(', ')}, and a guess would give other ids`);
}

/** Spaces are ▁, one before the text where the vocabulary was trained so. */
export function sentencePiece(prefixed: boolean): Record<string, unknown> {
  const spaces = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
  const strip = prefixed ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : [];
  return {
    normalizer: { type: 'Sequence', normalizers: [...(prefixed ? [{ type: 'Prepend', prepend: '▁' }] : []), spaces] },
    pre_tokenizer: null,
    decoder: { type: 'Sequence', decoders: [{ type: 'Replace', pattern: { String: '▁' }, content: ' ' }, { type: 'ByteFallback' }, { type: 'Fuse' }, ...strip] },
  };
}

/** A post-processor that puts one token before a text. */
export function startsWith(token: string, id: number): Record<string, unknown> {
  const before = { SpecialToken: { id: token, type_id: 0 } };
  return {
    type: 'TemplateProcessing', single: [before, { Sequence: { id: 'A', type_id: 0 } }], pair: [before, { Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
    special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
  };
}

/**
 * Merges that join as SentencePiece does, which always takes the neighbours whose joint piece scores highest: all splits of each piece into
 * two pieces, by the score of the whole; equal scores by the halves' ids, as transformers orders them.
 */
export function mergesOf(tokens: string[], types: number[], scores: number[]): [string, string][] {
  const ids = new Map<string, number>();
  tokens.forEach((token, id) => {
    if (types[id] === NORMAL) ids.set(token, id);
  });
  const merges: { pair: [string, string]; score: number; left: number; right: number }[] = [];
  for (const [token, id] of ids) {
    for (let at = 1; at < token.length; at++) {
      const [left, right] = [token.slice(0, at), token.slice(at)];
      const [a, b] = [ids.get(left), ids.get(right)];
      if (a !== undefined && b !== undefined) merges.push({ pair: [left, right], score: scores[id]!, left: a, right: b });
    }
  }
  return merges.sort((x, y) => y.score - x.score || x.left - y.left || x.right - y.right).map(({ pair }) => pair);
}
