/**
 * A Hugging Face folder's tokenizer: text ↔ ids, its special tokens and chat template. The merges are @huggingface/tokenizers'; tokenizer.json is the truth.
 * Ours is the order around them: special tokens are looked for in the raw text, as transformers does, and only where a piece says it is
 * template text, so that a person's text cannot inject a control token. Not here: templates (template.ts), streaming (stream.ts).
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Tokenizer as Library } from '@huggingface/tokenizers';
import { brief } from '../../shared/brief.ts';
import { readChatTemplates } from '../formats/chat-templates.ts';
import { readGgufMetadata } from '../formats/gguf-reader.ts';
import { readVocabulary } from '../formats/gguf-vocabulary.ts';
import { readJsonFile } from '../formats/json.ts';
import { isFile } from '../formats/write-beside.ts';
import { createMerges } from './bpe.ts';
import { asReference, setNormalizersRight, setSplitsRight, stripped } from './reference-steps.ts';
import { sentencePieceTokenizer } from './sentencepiece.ts';
import { tokenBytesOf } from './token-bytes.ts';
import { rememberWords, wordsOf } from './words.ts';

/** A stretch of a rendered example. `special`: template text, where special-token strings are control tokens; otherwise they are plain text. */
export type Piece = { text: string; loss: boolean; special?: boolean };

export interface Tokenizer {
  /** Highest id + 1. */
  readonly vocabSize: number;
  readonly bosId: number | null;
  /** Tokens that end an answer, the tokenizer's own eos_token first (the one appended in training), then generation_config's, config's and ChatML's <|im_end|>. */
  readonly eosIds: number[];
  readonly padId: number | null;
  readonly chatTemplate: string | null;
  /** In its place where tools are given; null: the same. */
  readonly toolTemplate: string | null;
  /** Strings of the special tokens, and those a chat template may name (bos_token, eos_token, …). */
  readonly specialTokens: string[];
  readonly namedTokens: Record<string, string>;
  /** Tokens put before any text of its own (Llama's <s>); empty for most. */
  readonly prefixIds: number[];
  encode(text: string, options?: { addSpecialTokens?: boolean }): number[];
  /** Special-token strings inside are plain text. */
  encodePlain(text: string): number[];
  /**
   * Pieces tokenised as one text, so ids do not depend on where pieces meet. A token over a border carries loss when any of its text does
   * (transformers' assistant mask does the same).
   */
  encodePieces(pieces: Piece[]): { ids: number[]; loss: boolean[] };
  decode(ids: ArrayLike<number>, options?: { skipSpecialTokens?: boolean }): string;
  /** The vocabulary's string for an id: 'Ġthe', '▁the', '<0x0A>'. */
  token(id: number): string;
  /** What it adds to a text; null for a control token. */
  tokenBytes(id: number): Uint8Array | null;
}

/** @param folder a folder with tokenizer.json, or with SentencePiece's tokenizer.model alone; or a GGUF file */
export async function loadTokenizer(folder: string): Promise<Tokenizer> {
  return (await openTokenizer(folder)).tokenizer;
}

/** And the tokenizer.json it is made from. */
export async function openTokenizer(folder: string): Promise<{ tokenizer: Tokenizer; json: Record<string, unknown> }> {
  if (folder.endsWith('.gguf')) {
    const { json, config, eos, chatTemplate, namedTemplates } = readVocabulary(await readGgufMetadata(folder), folder);
    return { tokenizer: createTokenizer(json, config, { where: folder, eos, chatTemplate, toolTemplate: namedTemplates.tool_use }), json };
  }
  const path = join(folder, 'tokenizer.json');
  const piecesPath = join(folder, 'tokenizer.model');
  const pieces = !(await isFile(path)) && (await isFile(piecesPath)) ? await readFile(piecesPath) : null;
  const [json, config, special, generation, model] = await Promise.all([
    pieces ? {} : readJsonFile(path),
    readJsonFile(join(folder, 'tokenizer_config.json'), true),
    readJsonFile(join(folder, 'special_tokens_map.json'), true),
    readJsonFile(join(folder, 'generation_config.json'), true),
    readJsonFile(join(folder, 'config.json'), true),
  ]);
  const eos = [generation?.eos_token_id, model?.eos_token_id].flat().filter((id): id is number => Number.isInteger(id));
  const { chatTemplate, namedTemplates } = await readChatTemplates(folder, config);
  const extra = { eos, chatTemplate, toolTemplate: namedTemplates.tool_use };
  if (!pieces) return { tokenizer: createTokenizer(json, { ...special, ...config }, { where: path, ...extra }), json };
  const made = sentencePieceTokenizer(pieces, { ...special, ...config }, piecesPath);
  return { tokenizer: createTokenizer(made.json, made.config, { where: piecesPath, ...extra }), json: made.json };
}

type Extra = { where: string; eos: number[]; chatTemplate: string | null; toolTemplate?: string | undefined };

/** @param extra.eos ids other files call the end of an answer */
export function createTokenizer(json: Record<string, unknown>, config: Record<string, unknown>, extra: Extra): Tokenizer {
  try {
    return buildTokenizer(json, config, extra);
  } catch (error) {
    const message = brief((error as Error).message);
    // what nobody thought of to check, a part of another kind than it should be, is still told with its file
    throw message.startsWith(extra.where) ? new Error(message, { cause: error }) : new Error(`${extra.where}: it cannot be understood (${message}); download it again, or save it anew with transformers`, { cause: error });
  }
}

function buildTokenizer(json: Record<string, unknown>, config: Record<string, unknown>, extra: Extra): Tokenizer {
  const added = checkTokenizerJson(json, extra.where);
  const words = wordsOf(json as { model: unknown });
  const namedTokens = namedTokensOf(config);
  const vocab = (json.model as { vocab: Record<string, number> }).vocab;
  for (const content of new Set(Object.values(namedTokens))) {
    // transformers adds the tokens the config names to the special ones
    if (Object.hasOwn(vocab, content) && !added.some((token) => token.content === content)) added.push({ id: vocab[content], content, special: true });
  }
  let library: Library;
  try {
    library = new Library({ decoder: null, post_processor: null, normalizer: null, ...json, pre_tokenizer: asReference(json.pre_tokenizer ?? null), added_tokens: added }, config);
    setNormalizersRight(library.normalizer);
    setSplitsRight(library.pre_tokenizer);
  } catch (error) {
    throw new Error(`${extra.where}: ${(error as Error).message}; download it again, or save it anew with transformers`, { cause: error });
  }
  const { normalizer, pre_tokenizer: preTokenizer } = library;
  const model = library.model!;
  const addedByContent = new Map(added.map((token) => [token.content, token]));
  const specialTokens = added.filter((token) => token.special).map((token) => token.content);
  const everyAdded = matcher(added);
  const plainAdded = matcher(added.filter((token) => !token.special));

  const idOf = (token: string | undefined): number | null => (token === undefined ? null : (library.token_to_id(token) ?? null));
  const eosIds = [...new Set([idOf(namedTokens.eos_token), ...extra.eos, idOf('<|im_end|>')])].filter((id) => id !== null);

  const normalize = (text: string): string => (normalizer === null ? text : normalizer(text));
  const preTokenize = (text: string, index: number): string[] => (preTokenizer === null ? [text] : preTokenizer(text, { section_index: index }));

  const { type, byte_fallback: fallback } = json.model as { type?: string; byte_fallback?: boolean };
  const fallsBack = type === 'Unigram' && fallback === true; // the library's BPE does it, its Unigram does not
  const bytesOfUnknown = (token: string): string[] =>
    model.tokens_to_ids.has(token) ? [token] : Array.from(Buffer.from(token, 'utf8'), (byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  const merge = words === null ? null : createMerges(json.model as Parameters<typeof createMerges>[0], model.tokens_to_ids, model.vocab);
  const byWords = words === null ? null : rememberWords(words, (form) => merge?.(form) ?? model([form]));
  function tokensOf(text: string, index: number): string[] {
    const normalized = normalize(text);
    if (byWords !== null) return byWords(normalized);
    const tokens = normalized === '' ? [] : model(preTokenize(normalized, index));
    return fallsBack ? tokens.flatMap(bytesOfUnknown) : tokens;
  }

  function idOfToken(token: string): number {
    const id = model.tokens_to_ids.get(token) ?? model.unk_token_id;
    if (id === undefined) throw new Error(`${extra.where} has no token for ${JSON.stringify(token)} and no unknown token: the text cannot be tokenised`);
    return id;
  }

  /** Bytes of a text as the model sees it, to which its tokens' bytes add up. */
  const width = (text: string, index: number): number => {
    const normalized = normalize(text);
    return normalized === '' ? 0 : preTokenize(normalized, index).reduce((sum, word) => sum + Buffer.byteLength(word), 0);
  };

  function encodeSection(parts: Piece[], index: number, ids: number[], loss: boolean[]): void {
    const text = parts.map((part) => part.text).join('');
    const tokens = tokensOf(text, index);
    if (parts.every((part) => part.loss === parts[0].loss)) {
      for (const token of tokens) {
        ids.push(idOfToken(token));
        loss.push(parts[0].loss);
      }
      return;
    }
    const widths = tokens.map((token) => (/^<0x[0-9A-F]{2}>$/.test(token) ? 1 : Buffer.byteLength(token)));
    const exact = widths.reduce((sum, n) => sum + n, 0) === width(text, index);
    // where each part ends: in bytes, or in tokens where unknown tokens hide the bytes
    const ends: number[] = [];
    for (let i = 0, prefix = ''; i < parts.length; i++) {
      prefix += parts[i].text;
      ends.push(exact ? width(prefix, index) : tokensOf(prefix, index).length);
    }
    ends[parts.length - 1] = Infinity;
    let begin = 0;
    let part = 0;
    tokens.forEach((token, i) => {
      const end = begin + (exact ? widths[i] : 1);
      while (ends[part] <= begin) part++;
      let any = parts[part].loss;
      for (let p = part; !any && ends[p] < end; p++) any = parts[p + 1].loss && ends[p + 1] > ends[p];
      ids.push(idOfToken(token));
      loss.push(any);
      begin = end;
    });
  }

  function encodePieces(pieces: Piece[]): { ids: number[]; loss: boolean[] } {
    // added tokens stand alone; the text between two of them is one section, whatever pieces it comes from
    const sections: (Piece[] | { id: number; loss: boolean; rstrip: boolean })[] = [];
    for (const { text, loss, special } of pieces) {
      for (const part of split(text, special === true ? everyAdded : plainAdded)) {
        const token = addedByContent.get(part);
        const last = sections.at(-1);
        if (token !== undefined && (special === true || !token.special)) {
          if (token.lstrip && Array.isArray(last)) trimSection(last, 'end');
          sections.push({ id: token.id, loss, rstrip: token.rstrip === true });
        } else if (Array.isArray(last)) last.push({ text: part, loss });
        else sections.push([{ text: part, loss }]);
      }
    }
    const ids: number[] = [];
    const loss: boolean[] = [];
    sections.forEach((section, index) => {
      if (!Array.isArray(section)) {
        ids.push(section.id);
        loss.push(section.loss);
        return;
      }
      const before = sections[index - 1];
      if (before !== undefined && !Array.isArray(before) && before.rstrip) trimSection(section, 'start');
      encodeSection(section, index, ids, loss);
    });
    return { ids, loss };
  }

  // what the post-processor puts around a text, found by giving it one token
  const around = library.post_processor?.(['\uE000'], null, true).tokens ?? ['\uE000'];
  const prefixIds = around.slice(0, around.indexOf('\uE000')).map(idOfToken);
  const suffixIds = around.slice(around.indexOf('\uE000') + 1).map(idOfToken);

  return {
    vocabSize: model.vocab.length,
    bosId: idOf(namedTokens.bos_token),
    eosIds,
    padId: idOf(namedTokens.pad_token),
    chatTemplate: extra.chatTemplate,
    toolTemplate: extra.toolTemplate ?? null,
    specialTokens,
    namedTokens,
    prefixIds,
    encode(text, { addSpecialTokens = false } = {}) {
      const { ids } = encodePieces([{ text, loss: false, special: true }]);
      return addSpecialTokens ? [...prefixIds, ...ids, ...suffixIds] : ids;
    },
    encodePlain: (text) => encodePieces([{ text, loss: false }]).ids,
    encodePieces,
    decode(ids, { skipSpecialTokens = false } = {}) {
      if (ids.length === 0) return '';
      return library.decode(Array.from(ids), { skip_special_tokens: skipSpecialTokens, clean_up_tokenization_spaces: false });
    },
    token: (id) => model.vocab[id] ?? '',
    tokenBytes: tokenBytesOf(json, added, model.vocab),
  };
}

type AddedToken = { id: number; content: string; special?: boolean; single_word?: boolean; lstrip?: boolean; rstrip?: boolean };

/** Refuses what would only fail later and obscurely. */
function checkTokenizerJson(json: Record<string, unknown>, where: string): AddedToken[] {
  const broken = (what: string): Error => new Error(`${where}: ${what}: download it again, or save it anew with transformers`);
  const model = json.model as { type?: unknown; vocab?: unknown; merges?: unknown } | null | undefined;
  if (typeof model !== 'object' || model === null) throw broken('it has no "model"');
  if (typeof model.vocab !== 'object' || model.vocab === null) throw broken('"model.vocab" is missing');
  if (model.type === undefined || model.type === 'BPE') {
    if (!Array.isArray(model.merges)) throw broken('"model.merges" is missing');
    const vocab = model.vocab as Record<string, unknown>;
    for (const [token, id] of Object.entries(vocab)) {
      if (!Number.isInteger(id) || (id as number) < 0) throw broken(`"model.vocab" gives ${JSON.stringify(token)} the id ${JSON.stringify(id)}`);
    }
    model.merges = model.merges.map((merge: unknown, i) => {
      const pair = typeof merge === 'string' ? splitMerge(merge, vocab) : merge;
      if (!Array.isArray(pair) || pair.length !== 2 || pair.some((part) => typeof part !== 'string')) {
        throw broken(`"model.merges" number ${i} is not a pair: ${JSON.stringify(merge)}`);
      }
      return pair;
    });
  }
  const added = json.added_tokens ?? [];
  if (!Array.isArray(added) || added.some((token) => !Number.isInteger(token?.id) || typeof token?.content !== 'string')) {
    throw broken('"added_tokens" is not a list of tokens with id and content');
  }
  return [...(added as AddedToken[])];
}

/** 'th e' → th, e. Tokens may hold spaces themselves: then both halves must be known. */
function splitMerge(merge: string, vocab: Record<string, unknown>): string[] {
  const parts = merge.split(' ');
  if (parts.length <= 2) return parts;
  for (let at = merge.indexOf(' '); at >= 0; at = merge.indexOf(' ', at + 1)) {
    const pair = [merge.slice(0, at), merge.slice(at + 1)];
    if (pair.every((part) => Object.hasOwn(vocab, part))) return pair;
  }
  return [];
}

/** Those of the special tokens that have a name: bos_token, eos_token, … */
export function namedTokensOf(config: Record<string, unknown>): Record<string, string> {
  const named: Record<string, string> = {};
  for (const name of ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token']) {
    const token = config[name] as string | { content?: unknown } | null | undefined;
    const content = typeof token === 'object' ? token?.content : token;
    if (typeof content === 'string') named[name] = content;
  }
  return named;
}


/** What is part of a word to tokenizers. */
const WORD = '[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\u200c\\u200d]';

/** The longest of the tokens wins where several match; one that is a single word, only where it is one. */
function matcher(tokens: AddedToken[]): RegExp | null {
  const sorted = tokens.filter(({ content }) => content !== '').sort((a, b) => b.content.length - a.content.length);
  if (sorted.length === 0) return null;
  const patterns = sorted.map(({ content, single_word: alone }) => {
    const literal = content.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    return alone ? `(?<!${WORD})${literal}(?!${WORD})` : literal;
  });
  return new RegExp(`(${patterns.join('|')})`, tokens.some((token) => token.single_word) ? 'u' : '');
}

const split = (text: string, pattern: RegExp | null): string[] => (pattern === null ? [text] : text.split(pattern)).filter((part) => part !== '');

function trimSection(parts: Piece[], side: 'start' | 'end'): void {
  for (let i = 0; i < parts.length; i++) {
    const part = parts[side === 'start' ? i : parts.length - 1 - i];
    part.text = stripped(part.text, side === 'start', side === 'end');
    if (part.text !== '') return;
  }
}
