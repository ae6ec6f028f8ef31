/**
 * A tokenizer as llama.cpp wants it in a GGUF file: token texts, types, scores or merges, special ids, chat template. It comes from a
 * tokenizer.json, a tokenizer.model or another GGUF file. Three kinds exist there: byte-level BPE with a pre-tokenizer llama.cpp knows by
 * name, SentencePiece-like BPE with byte fallback, and Unigram (gguf-unigram.ts).
 * A tokenizer that llama.cpp would split in another way is refused, since the exported model would then answer differently.
 * Follows convert_hf_to_gguf.py and gguf-py's SpecialVocab of llama.cpp.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sentencePieceTokenizer } from '../tokenizer/sentencepiece.ts';
import { type ChatTemplates, readChatTemplates } from './chat-templates.ts';
import { readGgufMetadata } from './gguf-reader.ts';
import { unigramEntries } from './gguf-unigram.ts';
import { readVocabulary } from './gguf-vocabulary.ts';
import { readJsonFile } from './json.ts';
import { isFile } from './write-beside.ts';

/** A metadata value under its GGUF type. */
export type GgufValue =
  | { u32: number }
  | { f32: number }
  | { bool: boolean }
  | { string: string }
  | { strings: string[] }
  | { bools: boolean[] }
  | { bytes: Uint8Array }
  | { f32s: Float32Array }
  | { i32s: Int32Array };

type Added = { id: number; content: string; special: boolean };
type Model = {
  type: string;
  /** Of Unigram a list of pieces with their log-probs. */
  vocab: Record<string, number> | [piece: string, score: number][];
  unk_id?: number | null;
  merges: (string | [string, string])[];
  unk_token?: string | null;
  byte_fallback?: boolean;
  ignore_merges?: boolean;
};
export type Part = { type: string; [field: string]: unknown };
export type TokenizerJson = {
  model: Model;
  added_tokens?: Added[];
  normalizer?: Part | null;
  pre_tokenizer?: Part | null;
  post_processor?: Part | null;
};

/** llama.cpp's token types. */
const NORMAL = 1,
  UNKNOWN = 2,
  CONTROL = 3,
  USER_DEFINED = 4,
  UNUSED = 5,
  BYTE = 6;

/** Pre-tokenizers of byte-level BPE that llama.cpp has, by the regular expression tokenizer.json splits with. */
const GPT2_REGEX = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const WORDS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|";
const REST = '| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const CASED = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?|";
const GPT4O_REGEX =
  `[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+${CASED}[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*${CASED}` +
  '\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const PRE_BY_REGEX: Record<string, string> = {
  [GPT2_REGEX]: 'gpt-2',
  [`${WORDS}\\p{N}${REST}`]: 'qwen2',
  [`${WORDS}\\p{N}{1,3}${REST}`]: 'llama-bpe',
  [GPT4O_REGEX]: 'gpt-4o',
};

/** GGUF metadata of the tokenizer in `folder`. `vocabSize` is the number of embedding rows; ids without a token become [PADn]. */
export async function ggufTokenizer(folder: string, config: Record<string, unknown>, vocabSize: number): Promise<[string, GgufValue][]> {
  const { path, json, settings, generation, chatTemplate, namedTemplates } = await readFiles(folder);
  const fail = (what: string): never => {
    throw new Error(`${path}: ${what}`);
  };
  const { model } = json;
  const kind = kindOf(model);
  if (kind === null) return fail(`its model is ${JSON.stringify(model?.type)}; BPE and Unigram tokenizers can go into a GGUF file, so export safetensors instead`);
  const pieces: [string, number][] = Array.isArray(model.vocab) ? model.vocab.map(([piece], id) => [piece, id]) : Object.entries(model.vocab);
  const added = json.added_tokens ?? [];
  const ids = new Map<string, number>([...pieces, ...added.map(({ content, id }): [string, number] => [content, id])]);
  const byId = new Map([...pieces, ...added.map(({ content, id }): [string, number] => [content, id])].map(([token, id]) => [id, token]));
  for (const [id, token] of byId) {
    if (!Number.isInteger(id) || id < 0 || id >= vocabSize) {
      fail(
        `token ${JSON.stringify(token)} has id ${id} but the model has ${vocabSize} embedding rows; the tokenizer belongs to another model`,
      );
    }
  }

  const pre = kind === 'gpt2' ? preTokenizer(json, fail) : 'default';
  const scores = Array.isArray(model.vocab) ? new Map(model.vocab) : kind === 'llama' ? mergeScores(model.vocab, model.merges) : null;
  const unknown = Array.isArray(model.vocab) ? model.vocab[model.unk_id ?? -1]?.[0] : model.unk_token;
  const addedById = new Map(added.map((token) => [token.id, token]));
  const tokens: string[] = [];
  const types: number[] = [];
  const tokenScores = new Float32Array(vocabSize);
  for (let id = 0; id < vocabSize; id++) {
    const token = byId.get(id);
    const special = addedById.get(id);
    let text = token ?? `[PAD${id}]`;
    let type = NORMAL;
    if (token === undefined) type = UNUSED;
    else if (scores && token === unknown) type = UNKNOWN;
    else if (special && (special.special || looksSpecial(token))) type = CONTROL;
    else if (special) {
      type = USER_DEFINED;
      text = token.replaceAll('▁', ' '); // llama.cpp looks these up in the text as it is written
    } else if (scores && /^<0x[0-9A-Fa-f]{2}>$/.test(token)) type = BYTE;
    tokens.push(text);
    types.push(type);
    if (type === NORMAL) tokenScores[id] = scores?.get(token!) ?? 0;
    else if (type === USER_DEFINED || type === UNUSED) tokenScores[id] = -1000;
  }

  const entries: [string, GgufValue][] = [
    ['tokenizer.ggml.model', { string: kind }],
    ['tokenizer.ggml.pre', { string: pre }],
    ['tokenizer.ggml.tokens', { strings: tokens }],
  ];
  if (scores) entries.push(['tokenizer.ggml.scores', { f32s: tokenScores }]);
  entries.push(['tokenizer.ggml.token_type', { i32s: Int32Array.from(types) }]);
  if (kind === 'llama') entries.push(['tokenizer.ggml.add_space_prefix', { bool: hasSpacePrefix(json, fail) }]);
  else if (kind === 't5') entries.push(...unigramEntries(json, fail));
  else entries.push(['tokenizer.ggml.merges', { strings: model.merges.map((merge) => mergeText(merge, fail)) }]);
  entries.push(...specialTokens({ settings, generation, config, json }, ids, fail));
  if (chatTemplate !== null) entries.push(['tokenizer.chat_template', { string: chatTemplate }]);
  const named = Object.entries(namedTemplates).map(([name, template]) => [name.replace(/[^A-Za-z0-9]/g, '_'), template] as const);
  for (const [name, template] of named) entries.push([`tokenizer.chat_template.${name}`, { string: template }]);
  if (named.length > 0) entries.push(['tokenizer.chat_templates', { strings: named.map(([name]) => name) }]);
  return entries;
}

/** llama.cpp's name of the kind; null: it has none. */
function kindOf(model: Model | null | undefined): 'gpt2' | 'llama' | 't5' | null {
  if (model?.type === 'Unigram' && Array.isArray(model.vocab)) return 't5';
  if (model?.type !== 'BPE' || typeof model.vocab !== 'object' || !Array.isArray(model.merges)) return null;
  return model.byte_fallback === true ? 'llama' : 'gpt2';
}

type Files = { path: string; json: TokenizerJson; settings: Record<string, unknown>; generation: Record<string, unknown> } & ChatTemplates;

/** Of a folder its tokenizer.json, else its tokenizer.model; of a GGUF file what it holds. */
async function readFiles(folder: string): Promise<Files> {
  if (folder.endsWith('.gguf')) {
    const { json, config, eos, chatTemplate, namedTemplates } = readVocabulary(await readGgufMetadata(folder), folder);
    return { namedTemplates, path: folder, json: json as unknown as TokenizerJson, settings: config, generation: eos.length > 0 ? { eos_token_id: eos } : {}, chatTemplate };
  }
  const settings = (await readJsonFile(join(folder, 'tokenizer_config.json'), true)) ?? {};
  const generation = (await readJsonFile(join(folder, 'generation_config.json'), true)) ?? {};
  const { chatTemplate, namedTemplates } = await readChatTemplates(folder, settings);
  const [path, pieces] = [join(folder, 'tokenizer.json'), join(folder, 'tokenizer.model')];
  if ((await isFile(path)) || !(await isFile(pieces))) return { path, json: (await readJsonFile(path)) as unknown as TokenizerJson, settings, generation, chatTemplate, namedTemplates };
  const made = sentencePieceTokenizer(await readFile(pieces), settings, pieces);
  return { path: pieces, json: made.json as unknown as TokenizerJson, settings: made.config, generation, chatTemplate, namedTemplates };
}

/** Some vocabularies forget to mark control tokens; the same rule as llama.cpp's converter. */
function looksSpecial(token: string): boolean {
  return ['<pad>', '<mask>', '<2mass>', '[@BOS@]'].includes(token) || /^(<\|.*\|>|<｜.*｜>|<unused.*>)$/s.test(token);
}

/** The steps of one, or of a sequence. */
export function parts(part: Part | null | undefined, list: string): Part[] {
  if (!part) return [];
  return part.type === 'Sequence' ? ((part[list] ?? []) as Part[]).flatMap((inner) => parts(inner, list)) : [part];
}

/** llama.cpp's name of a byte-level pre-tokenizer. */
function preTokenizer(json: TokenizerJson, fail: (what: string) => never): string {
  const way = 'llama.cpp would split text in another way, so export safetensors instead';
  // NFC is let through: llama.cpp's converter leaves it out too, and text is nearly always composed already.
  const odd = parts(json.normalizer, 'normalizers').find(({ type }) => type !== 'NFC');
  if (odd) fail(`its normalizer ${odd.type} has no counterpart in llama.cpp; ${way}`);
  const steps = parts(json.pre_tokenizer, 'pretokenizers');
  const last = steps.pop();
  const before = steps.pop();
  let pre: string | undefined;
  if (last?.type === 'ByteLevel' && last.add_prefix_space !== true && steps.length === 0) {
    const usesRegex = last.use_regex !== false;
    if (!before && usesRegex) pre = 'gpt-2';
    else if (before?.type === 'Digits' && before.individual_digits === true && usesRegex) pre = 'smollm';
    else if (before?.type === 'Split' && before.behavior === 'Isolated' && before.invert !== true && !usesRegex) {
      const regex = (before.pattern as { Regex?: string } | undefined)?.Regex ?? '';
      pre = Object.hasOwn(PRE_BY_REGEX, regex) ? PRE_BY_REGEX[regex] : undefined;
    }
  }
  if (pre === undefined) return fail(`its pre_tokenizer is none of gpt-2, smollm, qwen2, llama-bpe and gpt-4o; ${way}`);
  if (json.model.ignore_merges === true && pre !== 'llama-bpe')
    return fail(`ignore_merges with the ${pre} pre_tokenizer has no counterpart in llama.cpp; ${way}`);
  return pre;
}

/** Whether SentencePiece-like text gets a space before its first word. */
function hasSpacePrefix(json: TokenizerJson, fail: (what: string) => never): boolean {
  const normalizers = parts(json.normalizer, 'normalizers');
  const steps = parts(json.pre_tokenizer, 'pretokenizers');
  const isSpace = (pattern: unknown) => (pattern as { String?: string } | undefined)?.String === ' ';
  const odd = [
    ...normalizers.filter(
      (p) => !(p.type === 'Prepend' && p.prepend === '▁') && !(p.type === 'Replace' && isSpace(p.pattern) && p.content === '▁'),
    ),
    // Gemma splits at spaces, of which its normalizer has left none
    ...steps.filter((p) => !(p.type === 'Metaspace' && p.replacement === '▁') && !(p.type === 'Split' && isSpace(p.pattern) && normalizers.some(({ content }) => content === '▁'))),
  ][0];
  if (odd) return fail(`its ${odd.type} step has no counterpart in llama.cpp's SentencePiece tokenizer; export safetensors instead`);
  return (
    normalizers.some((p) => p.type === 'Prepend') ||
    steps.some((p) => p.type === 'Metaspace' && (p.prepend_scheme ?? (p.add_prefix_space === false ? 'never' : 'always')) !== 'never')
  );
}

/**
 * llama.cpp joins the neighbours whose joint token scores highest; tokenizer.json joins those whose merge stands first. So a token's
 * score is minus the place of its first merge, as SentencePiece numbers them; tokens no merge makes come after, by id.
 */
function mergeScores(vocab: Record<string, number>, merges: Model['merges']): Map<string, number> {
  const scores = new Map<string, number>();
  const add = (token: string): void => {
    if (Object.hasOwn(vocab, token) && !scores.has(token)) scores.set(token, -(scores.size + 1));
  };
  for (const merge of merges) {
    const split = typeof merge === 'string' ? merge.indexOf(' ', 1) : 0;
    add(typeof merge === 'string' ? merge.slice(0, split) + merge.slice(split + 1) : merge.join(''));
  }
  for (const [token] of Object.entries(vocab).sort(([, a], [, b]) => a - b)) add(token);
  return scores;
}

/** "left right"; a space inside a part is written as byte-level BPE writes it. */
function mergeText(merge: string | [string, string], fail: (what: string) => never): string {
  const text = typeof merge === 'string' ? merge : merge.map((part) => part.replaceAll(' ', 'Ġ')).join(' ');
  return text.split(' ').length === 2 ? text : fail(`merge ${JSON.stringify(merge)} is not two parts; save the tokenizer again`);
}

/** Tokens between which code is filled in, by the names models have for them. */
const FILL_IN: Record<string, string[]> = {
  fim_pre: ['<|fim_prefix|>', '<fim-prefix>', '<fim_prefix>', '<｜fim▁begin｜>', '▁<PRE>', '<|code_prefix|>'],
  fim_suf: ['<|fim_suffix|>', '<fim-suffix>', '<fim_suffix>', '<｜fim▁hole｜>', '▁<SUF>', '<|code_suffix|>'],
  fim_mid: ['<|fim_middle|>', '<fim-middle>', '<fim_middle>', '<｜fim▁end｜>', '▁<MID>', '<|code_middle|>'],
  fim_pad: ['<|fim_pad|>', '<fim-pad>', '<fim_pad>'],
  fim_rep: ['<|fim_repo|>', '<|repo_name|>', '<fim-repo>', '<reponame>'],
  fim_sep: ['<|file_sep|>'],
};

function specialTokens(
  { settings, generation, config, json }: { settings: Record<string, unknown>; generation: Record<string, unknown>; config: Record<string, unknown>; json: TokenizerJson },
  ids: Map<string, number>,
  fail: (what: string) => never,
): [string, GgufValue][] {
  const entries: [string, GgufValue][] = [];
  const found: Record<string, number | undefined> = {};
  for (const [kind, key] of [
    ['bos', 'bos'],
    ['eos', 'eos'],
    ['unk', 'unknown'],
    ['pad', 'padding'],
    ['sep', 'seperator'], // spelled so there
    ['mask', 'mask'],
  ]) {
    const token = settings[`${kind}_token`];
    const text = typeof token === 'string' ? token : ((token as { content?: string } | null | undefined)?.content ?? undefined);
    const fallback = [config[`${kind}_token_id`]].flat()[0]; // Llama 3 lists several ends
    const id = (text === undefined ? undefined : ids.get(text)) ?? (typeof fallback === 'number' ? fallback : undefined);
    found[kind] = id;
    if (id !== undefined) entries.push([`tokenizer.ggml.${key}_token_id`, { u32: id }]);
  }
  const eom = ids.get('<|eom_id|>'); // of Llama 3: the end of a message that calls a tool
  const ends = [generation.eos_token_id].flat().filter((id): id is number => typeof id === 'number' && id !== found.eos);
  const otherEnd = ends.find((id) => id !== eom);
  if (otherEnd !== undefined) entries.push(['tokenizer.ggml.eot_token_id', { u32: otherEnd }]);
  if (eom !== undefined && ends.includes(eom)) entries.push(['tokenizer.ggml.eom_token_id', { u32: eom }]);
  for (const [key, names] of Object.entries(FILL_IN)) {
    const id = names.map((name) => ids.get(name)).find((known) => known !== undefined);
    if (id !== undefined) entries.push([`tokenizer.ggml.${key}_token_id`, { u32: id }]);
  }

  const template = parts(json.post_processor, 'processors').find(({ type }) => type === 'TemplateProcessing');
  const single = (template?.single ?? []) as { SpecialToken?: { id: string } }[];
  for (const [kind, item] of [
    ['bos', single[0]],
    ['eos', single[single.length - 1]],
  ] as const) {
    const token = item?.SpecialToken?.id;
    if (token !== undefined && ids.get(token) !== found[kind]) {
      fail(
        `its post_processor adds ${JSON.stringify(token)}, not the ${kind} token, which llama.cpp cannot do; export safetensors instead`,
      );
    }
    const setting = settings[`add_${kind}_token`];
    entries.push([
      `tokenizer.ggml.add_${kind}_token`,
      { bool: (typeof setting === 'boolean' ? setting : token !== undefined) && found[kind] !== undefined },
    ]);
  }

  return entries;
}
