/**
 * A vocabulary as people look through it: searched by text, id or bytes, narrowed to a kind, and read page by page. Asked of an engine once a
 * model and held while it is looked at; a page is a slice of the ids a search lets through.
 */
import type { VocabularyPage, VocabularyQuery } from '../../shared/api/inspection.ts';
import type { TokenKind, Vocabulary, VocabularyEntry } from '../../shared/inspection.ts';
import { askEngine } from '../engine.ts';
import type { Library } from '../library.ts';
import { resolveModel } from '../models/index.ts';
import { stampsOf } from '../models/stamps.ts';
import { UserError } from '../user-error.ts';

/** Vocabularies held at once; the one not asked for longest goes. */
const HELD = 2;
const FILES = ['tokenizer.json', 'tokenizer.model', 'tokenizer_config.json', 'chat_template.jinja', 'config.json'];

export type Vocabularies = { page(library: Library, query: VocabularyQuery): Promise<VocabularyPage> };

type Held = { vocabulary: Promise<Vocabulary>; search: { key: string; found: VocabularyEntry[] } | null };

export function createVocabularies(): Vocabularies {
  const held = new Map<string, Held>(); // least recently used first
  return {
    async page(library, { model, query, kind, offset, count }) {
      const { path } = resolveModel(library, model);
      const key = [path.folder, ...stampsOf(path.folder, FILES)].join(' ');
      const known: Held = held.get(key) ?? { vocabulary: askEngine<Vocabulary>({ type: 'vocabulary', model: path }), search: null };
      held.delete(key);
      held.set(key, known);
      for (const old of [...held.keys()].slice(0, -HELD)) held.delete(old);
      const vocabulary = await known.vocabulary.catch((error: Error) => {
        held.delete(key);
        throw new UserError(error.message);
      });
      const asked = JSON.stringify([query, kind]);
      if (known.search?.key !== asked) known.search = { key: asked, found: searchVocabulary(vocabulary, query, kind) };
      const { found } = known.search;
      return {
        type: vocabulary.type, total: vocabulary.entries.length, matched: found.length, kinds: countKinds(vocabulary),
        entries: found.slice(offset, offset + count),
      };
    },
  };
}

/**
 * By text or the vocabulary's own string, whichever case; a whole number also by id, which comes first; 0x… by bytes. Tokens that are the text
 * alone stand before those that hold it.
 */
export function searchVocabulary({ entries }: Vocabulary, query: string, kind: TokenKind | null): VocabularyEntry[] {
  const some = kind === null ? entries : entries.filter((entry) => entry.kind === kind);
  const wanted = query.toLowerCase();
  if (wanted === '') return some;
  const bytes = /^0x([0-9a-f]+)$/.exec(wanted)?.[1];
  const rank = ({ id, token, text, bytes: hex }: VocabularyEntry): number => {
    if (String(id) === wanted) return 0;
    const [ours, own] = [text?.toLowerCase() ?? '', token.toLowerCase()];
    if (ours === wanted || own === wanted || hex === bytes) return 1;
    if (ours.trim() === wanted) return 2;
    if (ours.includes(wanted) || own.includes(wanted)) return 3;
    return bytes !== undefined && hex?.includes(bytes) ? 3 : 4;
  };
  const ranked: VocabularyEntry[][] = [[], [], [], [], []];
  for (const entry of some) ranked[rank(entry)]!.push(entry);
  return ranked.slice(0, 4).flat();
}

function countKinds({ entries }: Vocabulary): Record<TokenKind, number> {
  const kinds: Record<TokenKind, number> = { normal: 0, special: 0, added: 0, byte: 0, unused: 0 };
  for (const { kind } of entries) kinds[kind]++;
  return kinds;
}
