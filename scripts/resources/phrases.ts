/**
 * How a fact of the lexicon is said in plain English: articles, lists, and the one canonical sentence for each fact, which the corpus
 * teaches and the instruction answers use again. No choice is random here; callers pick among the phrasings.
 */
import { articleFor, type Entry } from './lexicon.ts';

/** count: "a dog"; mass: "gold"; bare: a noun that is neither for sure ("idea"). */
export function nounStyle(entry: Entry): 'count' | 'mass' | 'bare' {
  const { file } = entry.synset;
  if (entry.proper) return 'mass';
  const countable = /^(a|an|any|one|someone|something)\b/.test(entry.definition);
  if ([5, 17, 18].includes(file)) return countable ? 'count' : /^the /.test(entry.definition) ? 'count' : 'bare';
  if ([27, 12, 26, 19].includes(file)) return 'mass';
  if (file === 13) return countable || entry.kind === 'fruit' || entry.kind === 'vegetable' ? 'count' : 'mass';
  if ([6, 8, 20].includes(file)) {
    if (['fabric', 'material', 'drug', 'music', 'jewelry'].includes(entry.kind ?? '') || !countable) return 'mass';
    return 'count';
  }
  if ([10, 14, 15, 23, 28, 21].includes(file)) return countable ? 'count' : 'bare';
  if (file === 4 && (/ing$/.test(entry.word) || entry.kind === 'sport' || entry.kind === 'game')) return 'mass';
  if (entry.kind === 'science' || entry.kind === 'color') return 'mass';
  return 'bare';
}

/** "a dog", "gold", "to run", "happy". */
export function subject(entry: Entry): string {
  if (entry.partOfSpeech === 'v') return `to ${entry.word}`;
  if (entry.partOfSpeech === 'n' && nounStyle(entry) === 'count') return `${articleFor(entry.word)} ${entry.word}`;
  return entry.word;
}

export function capital(text: string): string {
  return text[0].toUpperCase() + text.slice(1);
}

/** "apple, pear, and plum". */
export function list(words: readonly string[]): string {
  if (words.length < 3) return words.join(' and ');
  return `${words.slice(0, -1).join(', ')}, and ${words[words.length - 1]}`;
}

/** The canonical definition sentence. */
export function definitionSentence(entry: Entry): string {
  const { definition, word } = entry;
  if (entry.partOfSpeech === 'v') return `To ${word} is to ${definition.replace(/^to /, '')}.`;
  if (entry.partOfSpeech === 'n' && nounStyle(entry) !== 'bare') return `${capital(subject(entry))} is ${definition}.`;
  return `${capital(word)} means ${definition}.`;
}

export function kindSentence(entry: Entry, kind: string = entry.kind!): string {
  return `${capital(subject(entry))} is a kind of ${kind}.`;
}

export function notKindSentence(entry: Entry, kind: string): string {
  return `${capital(subject(entry))} is not a kind of ${kind}.`;
}

export function synonymSentence(entry: Entry, synonym: string): string {
  return `Another word for ${entry.word} is ${synonym}.`;
}

export function antonymSentence(entry: Entry): string {
  return `The opposite of ${entry.word} is ${entry.antonym}.`;
}

export function examplesOfKindSentence(kind: string, words: readonly string[]): string {
  return `${capital(list(words))} are kinds of ${kind}.`;
}
