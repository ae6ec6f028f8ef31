/**
 * Small rephrasings of a prompt by rule: its letters, its punctuation, its blanks, words of a list in place of others. What it asks stays the same.
 * Paraphrases are the model's (consistency.ts).
 */
import type { Rephrasing } from '../../shared/consistency.ts';

/** Words and what may stand in their place. A small list of plain words of prompts; a file of one's own takes its place. */
const SYNONYMS: [string, string][] = [
  ['tell', 'let me know'], ['explain', 'describe'], ['describe', 'explain'], ['list', 'enumerate'], ['name', 'list'], ['define', 'give the meaning of'], ['write', 'compose'],
  ['big', 'large'], ['large', 'big'], ['small', 'little'], ['begin', 'start'], ['start', 'begin'], ['answer', 'reply'], ['show', 'present'], ['give', 'provide'],
  ['kind', 'type'], ['kinds', 'types'], ['mean', 'signify'], ['means', 'signifies'], ['sentence', 'phrase'], ['quick', 'fast'], ['help', 'assist'], ['find', 'locate'],
  ['use', 'make use of'], ['example', 'instance'], ['examples', 'instances'], ['difference', 'distinction'], ['opposite', 'antonym'], ['summarize', 'sum up'],
  ['알려줘', '말해줘'], ['설명해줘', '풀이해줘'], ['설명해', '풀이해'], ['써줘', '작성해줘'], ['뜻', '의미'], ['예', '보기'], ['단어', '낱말'],
];

/** Different from the prompt and from each other, in order. */
export function rephrase(prompt: string, how: Exclude<Rephrasing, 'paraphrase'>, synonyms: [string, string][] = SYNONYMS): string[] {
  const made = { case: changeCase, punctuation: changePunctuation, whitespace: changeWhitespace, synonyms: (text: string) => changeWords(text, synonyms) }[how](prompt);
  return [...new Set(made)].filter((text) => text !== prompt && text.trim() !== '');
}

function changeCase(text: string): string[] {
  const first = text.slice(0, 1);
  return [text.toLowerCase(), text.toUpperCase(), (first === first.toUpperCase() ? first.toLowerCase() : first.toUpperCase()) + text.slice(1)];
}

function changePunctuation(text: string): string[] {
  const bare = text.replace(/[.?!。？！…\s]+$/u, '');
  return [bare, `${bare}.`, `${bare}?`, `${bare}!`, text.replaceAll(/[,;:]/g, '')];
}

function changeWhitespace(text: string): string[] {
  return [` ${text}`, `${text} `, `${text}\n`, text.replaceAll(' ', '  ')];
}

/** One word changed at a time, its first letter as it was. */
function changeWords(text: string, synonyms: [string, string][]): string[] {
  return synonyms.flatMap(([word, other]) => {
    const found = new RegExp(`(?<![\\p{L}\\p{N}])${word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}(?![\\p{L}\\p{N}])`, 'iu').exec(text);
    if (!found) return [];
    const capital = found[0][0] !== found[0][0].toLowerCase();
    const put = capital ? other[0].toUpperCase() + other.slice(1) : other;
    return [text.slice(0, found.index) + put + text.slice(found.index + found[0].length)];
  });
}

/** Lines of a word, a comma, and what may stand in its place. Throws with the line. */
export function readSynonyms(file: string, text: string): [string, string][] {
  return text.split(/\r?\n/).flatMap((line, i): [string, string][] => {
    if (line.trim() === '' || line.startsWith('#')) return [];
    const [word, other, ...more] = line.split(',').map((part) => part.trim());
    if (!word || !other || more.length > 0) throw new Error(`${file}:${i + 1}: expected a word, a comma and its synonym`);
    return [[word, other]];
  });
}
