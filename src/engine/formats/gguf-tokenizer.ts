/**
 * A tokenizer.json as llama.cpp wants it in a GGUF file: token texts, types, scores or merges, special ids, chat template.
 * Two kinds of BPE exist there: byte-level with a pre-tokenizer llama.cpp knows by name, and SentencePiece-like with byte fallback.
 * A tokenizer that llama.cpp would split in another way is refused, since the exported model would then answer differently.
 * Follows convert_hf_to_gguf.py and gguf-py's SpecialVocab of llama.cpp.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readJsonFile } from './json.ts';

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
  vocab: Record<string, number>;
  merges: (string | [string, string])[];
  unk_token?: string | null;
  byte_fallback?: boolean;
  ignore_merges?: boolean;
};
type Part = { type: string; [field: string]: unknown };
type TokenizerJson = {
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
const PRE_BY_REGEX: Record<string, string> = {
  [GPT2_REGEX]: 'gpt-2',
  [`${WORDS}\\p{N}${REST}`]: 'qwen2',
  [`${WORDS}\\p{N}{1,3}${REST}`]: 'llama-bpe',
};

/** GGUF metadata of the tokenizer in `folder`. `vocabSize` is the number of embedding rows; ids without a token become [PADn]. */
export async function ggufTokenizer(folder: string, config: Record<string, unknown>, vocabSize: number): Promise<[string, GgufValue][]> {
  if (folder.endsWith('.gguf')) throw new Error(`${folder}: a model that came out of a GGUF file goes to GGUF by way of a folder; export it as safetensors first, and that folder as GGUF`);
  const path = join(folder, 'tokenizer.json');
  const json = (await readJsonFile(path)) as unknown as TokenizerJson;
  const fail = (what: string): never => {
    throw new Error(`${path}: ${what}`);
  };
  const { model } = json;
  if (
    typeof model !== 'object' ||
    model === null ||
    model.type !== 'BPE' ||
    typeof model.vocab !== 'object' ||
    !Array.isArray(model.merges)
  ) {
    return fail(`its model is ${JSON.stringify(model?.type)}; only BPE tokenizers can go into a GGUF file, so export safetensors instead`);
  }
  const added = json.added_tokens ?? [];
  const ids = new Map<string, number>([...Object.entries(model.vocab), ...added.map(({ content, id }): [string, number] => [content, id])]);
  const byId = new Map([...ids].map(([token, id]) => [id, token]));
  for (const [id, token] of byId) {
    if (!Number.isInteger(id) || id < 0 || id >= vocabSize) {
      fail(
        `token ${JSON.stringify(token)} has id ${id} but the model has ${vocabSize} embedding rows; the tokenizer belongs to another model`,
      );
    }
  }

  const isSentencePiece = model.byte_fallback === true;
  const pre = isSentencePiece ? 'default' : preTokenizer(json, fail);
  const scores = isSentencePiece ? mergeScores(model) : null;
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
    else if (isSentencePiece && token === model.unk_token) type = UNKNOWN;
    else if (special && (special.special || looksSpecial(token))) type = CONTROL;
    else if (special) {
      type = USER_DEFINED;
      text = token.replaceAll('▁', ' '); // llama.cpp looks these up in the text as it is written
    } else if (isSentencePiece && /^<0x[0-9A-Fa-f]{2}>$/.test(token)) type = BYTE;
    tokens.push(text);
    types.push(type);
    if (type === NORMAL) tokenScores[id] = scores?.get(token!) ?? 0;
    else if (type === USER_DEFINED || type === UNUSED) tokenScores[id] = -1000;
  }

  const entries: [string, GgufValue][] = [
    ['tokenizer.ggml.model', { string: isSentencePiece ? 'llama' : 'gpt2' }],
    ['tokenizer.ggml.pre', { string: pre }],
    ['tokenizer.ggml.tokens', { strings: tokens }],
  ];
  if (isSentencePiece) entries.push(['tokenizer.ggml.scores', { f32s: tokenScores }]);
  entries.push(['tokenizer.ggml.token_type', { i32s: Int32Array.from(types) }]);
  if (isSentencePiece) entries.push(['tokenizer.ggml.add_space_prefix', { bool: hasSpacePrefix(json, fail) }]);
  else entries.push(['tokenizer.ggml.merges', { strings: model.merges.map((merge) => mergeText(merge, fail)) }]);
  entries.push(...(await specialTokens(folder, config, json, ids, fail)));
  return entries;
}

/** Some vocabularies forget to mark control tokens; the same rule as llama.cpp's converter. */
function looksSpecial(token: string): boolean {
  return ['<pad>', '<mask>', '<2mass>', '[@BOS@]'].includes(token) || /^(<\|.*\|>|<｜.*｜>|<unused.*>)$/s.test(token);
}

function parts(part: Part | null | undefined, list: string): Part[] {
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
  if (pre === undefined) return fail(`its pre_tokenizer is none of gpt-2, smollm, qwen2 and llama-bpe; ${way}`);
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
    ...steps.filter((p) => p.type !== 'Metaspace' || p.replacement !== '▁'),
  ][0];
  if (odd) return fail(`its ${odd.type} step has no counterpart in llama.cpp's SentencePiece tokenizer; export safetensors instead`);
  return (
    normalizers.some((p) => p.type === 'Prepend') ||
    steps.some((p) => (p.prepend_scheme ?? (p.add_prefix_space === false ? 'never' : 'always')) !== 'never')
  );
}

/**
 * llama.cpp joins the neighbours whose joint token scores highest; tokenizer.json joins those whose merge stands first. So a token's
 * score is minus the place of its first merge, as SentencePiece numbers them; tokens no merge makes come after, by id.
 */
function mergeScores(model: Model): Map<string, number> {
  const scores = new Map<string, number>();
  const add = (token: string): void => {
    if (Object.hasOwn(model.vocab, token) && !scores.has(token)) scores.set(token, -(scores.size + 1));
  };
  for (const merge of model.merges) {
    const split = typeof merge === 'string' ? merge.indexOf(' ', 1) : 0;
    add(typeof merge === 'string' ? merge.slice(0, split) + merge.slice(split + 1) : merge.join(''));
  }
  for (const [token] of Object.entries(model.vocab).sort(([, a], [, b]) => a - b)) add(token);
  return scores;
}

/** "left right"; a space inside a part is written as byte-level BPE writes it. */
function mergeText(merge: string | [string, string], fail: (what: string) => never): string {
  const text = typeof merge === 'string' ? merge : merge.map((part) => part.replaceAll(' ', 'Ġ')).join(' ');
  return text.split(' ').length === 2 ? text : fail(`merge ${JSON.stringify(merge)} is not two parts; save the tokenizer again`);
}

async function specialTokens(
  folder: string,
  config: Record<string, unknown>,
  json: TokenizerJson,
  ids: Map<string, number>,
  fail: (what: string) => never,
): Promise<[string, GgufValue][]> {
  const settings = (await readJsonFile(join(folder, 'tokenizer_config.json'), true)) ?? {};
  const generation = (await readJsonFile(join(folder, 'generation_config.json'), true)) ?? {};
  const entries: [string, GgufValue][] = [];
  const found: Record<string, number | undefined> = {};
  for (const [kind, key] of [
    ['bos', 'bos'],
    ['eos', 'eos'],
    ['unk', 'unknown'],
    ['pad', 'padding'],
  ]) {
    const token = settings[`${kind}_token`];
    const text = typeof token === 'string' ? token : ((token as { content?: string } | null | undefined)?.content ?? undefined);
    const fallback = [config[`${kind}_token_id`]].flat()[0]; // Llama 3 lists several ends
    const id = (text === undefined ? undefined : ids.get(text)) ?? (typeof fallback === 'number' ? fallback : undefined);
    found[kind] = id;
    if (id !== undefined) entries.push([`tokenizer.ggml.${key}_token_id`, { u32: id }]);
  }
  const otherEnd = [generation.eos_token_id].flat().find((id) => typeof id === 'number' && id !== found.eos);
  if (typeof otherEnd === 'number') entries.push(['tokenizer.ggml.eot_token_id', { u32: otherEnd }]);

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

  const chatTemplate = await readChatTemplate(folder, settings);
  if (chatTemplate !== null) entries.push(['tokenizer.chat_template', { string: chatTemplate }]);
  return entries;
}

/** chat_template.jinja wins over tokenizer_config.json, as in transformers; of several named ones the default is taken. */
async function readChatTemplate(folder: string, settings: Record<string, unknown>): Promise<string | null> {
  const path = join(folder, 'chat_template.jinja');
  const file = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw new Error(`cannot read ${path}: ${error.message}`, { cause: error });
  });
  if (file !== null) return file;
  const template = settings.chat_template;
  if (Array.isArray(template))
    return (template as { name?: string; template?: string }[]).find(({ name }) => name === 'default')?.template ?? null;
  return typeof template === 'string' ? template : null;
}
