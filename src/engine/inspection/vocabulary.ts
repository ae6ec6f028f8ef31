/**
 * Every entry of a tokenizer's vocabulary: its string, its bytes, how it comes to be (a merge, a score) and what it is for beside text. Read off
 * tokenizer.json as it lies; encoding is tokenizer.ts's affair. Ids without a token, which an embedding may have rows for, are `unused`.
 */
import type { TokenKind, Vocabulary, VocabularyEntry } from '../../shared/inspection.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';

/** Merges as the tokenizer has made them: pairs. */
type Model = { type?: string; vocab: Record<string, number> | [string, number][]; merges?: [string, string][] };
type Added = { id: number; content: string; special?: boolean };

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const BYTE = /^<0x[0-9A-F]{2}>$/;

/** @param json what the tokenizer was made from (openTokenizer); @param rows of the embedding, up to which ids go */
export function vocabularyOf(json: Record<string, unknown>, tokenizer: Tokenizer, rows: number): Vocabulary {
  const model = json.model as Model;
  const added = new Map(((json.added_tokens ?? []) as Added[]).map((token) => [token.id, token]));
  const merges = mergesOf(model);
  const roles = rolesOf(tokenizer);
  const entries = Array.from({ length: Math.max(rows, tokenizer.vocabSize) }, (_, id): VocabularyEntry => {
    const known = added.get(id);
    const token = known?.content ?? tokenizer.token(id);
    const bytes = token === '' ? null : tokenizer.tokenBytes(id);
    const special = known?.special === true || (known === undefined && tokenizer.specialTokens.includes(token));
    const kind: TokenKind = token === '' ? 'unused' : special ? 'special' : known ? 'added' : BYTE.test(token) ? 'byte' : 'normal';
    return {
      id, token, kind,
      bytes: bytes && Buffer.from(bytes).toString('hex'),
      text: bytes && textOf(bytes),
      merge: kind === 'normal' ? (merges.get(token) ?? null) : null,
      score: Array.isArray(model.vocab) && kind !== 'special' ? (model.vocab[id]?.[1] ?? null) : null,
      roles: roles.get(id) ?? [],
    };
  });
  return { type: model.type ?? 'BPE', entries };
}

/** The first merge that makes a token is the one that does. */
function mergesOf({ merges }: Model): Map<string, NonNullable<VocabularyEntry['merge']>> {
  const found = new Map<string, NonNullable<VocabularyEntry['merge']>>();
  (merges ?? []).forEach(([left, right], rank) => {
    if (!found.has(left + right)) found.set(left + right, { left, right, rank });
  });
  return found;
}

function rolesOf(tokenizer: Tokenizer): Map<number, string[]> {
  const roles = new Map<number, string[]>();
  const give = (ids: number[], role: string) => {
    for (const id of ids) roles.set(id, [...(roles.get(id) ?? []), role]);
  };
  const special = (text: string): number[] => {
    const ids = tokenizer.encode(text);
    return ids.length === 1 ? ids : [];
  };
  for (const [name, token] of Object.entries(tokenizer.namedTokens)) give(special(token), name.replace(/_token$/, ''));
  give(tokenizer.eosIds, 'end');
  give(tokenizer.prefixIds, 'prefix');
  const template = tokenizer.chatTemplate;
  if (template !== null) give(tokenizer.specialTokens.filter((token) => template.includes(token)).flatMap(special), 'template');
  return roles;
}

/** Null where the bytes are no whole UTF-8: a piece of a character. */
function textOf(bytes: Uint8Array): string | null {
  try {
    return utf8.decode(bytes);
  } catch {
    return null;
  }
}
