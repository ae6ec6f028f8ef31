/** The embedded sets: reproducible, held out by word, and every row fit to train on. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { answerText, InstructionExample, PreferenceExample } from '../../src/shared/dataset.ts';
import { WORDNET_FOLDER, buildCorpus } from './corpus.ts';
import { askedWords, buildInstructions, DATASETS } from './instructions.ts';
import { articleFor, buildLexicon } from './lexicon.ts';
import { definitionSentence, kindSentence, list } from './phrases.ts';
import { buildPreferences } from './preferences.ts';
import { buildQuality } from './quality.ts';
import { partOf } from './tasks.ts';
import { parseGloss, parseSynset, readWordNet } from './wordnet.ts';

const wordnet = readWordNet(WORDNET_FOLDER);
const lexicon = buildLexicon(wordnet);
const instructions = buildInstructions(lexicon);
const preferences = buildPreferences(lexicon);

const read = (name: string): unknown[] =>
  readFileSync(`${DATASETS}/${name}.jsonl`, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);

describe('wordnet', () => {
  it('splits a gloss into its definition and its examples, and leaves out quotations with an author', () => {
    expect(parseGloss('large in size; very; "a big dog"; "a quotation"- Shakespeare ')).toEqual({
      definition: 'large in size; very',
      examples: ['a big dog'],
    });
  });

  it('reads words with spaces, adjective markers off, and pointers with the words they join', () => {
    const line = '00001740 00 s 02 wide_open(p) 0 ajar 1 002 & 00000001 a 0000 ! 00000002 a 0102 | not shut  ';
    expect(parseSynset(line, 'a')).toEqual({
      id: 'a00001740',
      partOfSpeech: 'a',
      file: 0,
      words: ['wide open', 'ajar'],
      definition: 'not shut',
      examples: [],
      pointers: [
        { symbol: '&', target: 'a00000001', from: 0, to: 0 },
        { symbol: '!', target: 'a00000002', from: 1, to: 2 },
      ],
    });
  });

  it('has all 117791 synsets of WordNet 3.1', () => {
    expect(wordnet.synsets.size).toBe(117791);
  });
});

describe('lexicon', () => {
  it.each([
    ['apple', 'An apple is a fruit with red or yellow or green skin and sweet to tart crisp whitish flesh.'],
    ['run', "To run is to move fast by using one's feet, with one foot off the ground at any given time."],
    ['happy', 'Happy means enjoying or showing or marked by joy or pleasure.'],
    ['France', 'France is a republic in western Europe.'],
  ])('says what %s is', (word, sentence) => {
    expect(definitionSentence(lexicon.byWord.get(word.toLowerCase())!)).toBe(sentence);
  });

  it.each([
    ['dog', 'A dog is a kind of animal.'],
    ['gold', 'Gold is a kind of metal.'],
    ['piano', 'A piano is a kind of musical instrument.'],
  ])('names the kind of %s', (word, sentence) => {
    expect(kindSentence(lexicon.byWord.get(word)!)).toBe(sentence);
  });

  it('takes articles by sound and lists with commas', () => {
    expect([articleFor('hour'), articleFor('unit'), articleFor('umbrella'), articleFor('dog')]).toEqual(['an', 'a', 'an', 'a']);
    expect(list(['a', 'b', 'c'])).toBe('a, b, and c');
  });
});

describe('corpus', () => {
  const rows = buildCorpus(lexicon);

  it('is the same for the same seed', () => {
    expect(buildCorpus(buildLexicon(wordnet))).toEqual(rows);
  });

  it('is plain: no notation of WordNet, no double spaces, every row closed', () => {
    const ugly = rows.filter((row) => /[_`|]|\s\s|\s[,.;]|\(|""|^\s|[^.?!]$/.test(row));
    expect(ugly).toEqual([]);
  });

  it('says what the held-out words mean, so that only the asking is new', () => {
    const text = new Set(rows.flatMap((row) => row.split(/(?<=\.) /)));
    const held = instructions.validationPrompts.filter((p) => p.task === 'define').map((p) => p.answer);
    expect(held.filter((answer) => !text.has(answer))).toEqual([]);
  });
});

describe('the embedded sets', () => {
  it('are what the scripts make', () => {
    expect(read('instructions.train')).toEqual(instructions.train);
    expect(read('instructions.validation')).toEqual(instructions.validation);
    expect(read('preferences.train')).toEqual(preferences.train);
    expect(read('preferences.validation')).toEqual(preferences.validation);
    const quality = buildQuality(lexicon);
    expect(read('quality.train')).toEqual(quality.train);
    expect(read('quality.validation')).toEqual(quality.validation);
  });

  it('never ask in training about a held-out word', () => {
    const train = new Set([...askedWords(instructions.trainPrompts), ...askedWords(preferences.trainPrompts)]);
    const held = new Set([...askedWords(instructions.validationPrompts), ...askedWords(preferences.validationPrompts)]);
    expect(held.size).toBeGreaterThan(200);
    expect([...held].filter((word) => train.has(word))).toEqual([]);
    expect([...train].filter((word) => partOf(word) !== 'train')).toEqual([]);
  });

  it('hold out different words for the two validation sets', () => {
    const asked = askedWords(preferences.validationPrompts);
    expect([...askedWords(instructions.validationPrompts)].filter((word) => asked.has(word))).toEqual([]);
  });

  it('repeat no prompt within a set', () => {
    for (const rows of [preferences.train, preferences.validation]) expect(new Set(rows.map((r) => r.prompt)).size).toBe(rows.length);
    for (const rows of [instructions.train, instructions.validation]) {
      expect(new Set(rows.map((r) => `${r.instruction}\n${r.input}`)).size).toBe(rows.length);
    }
  });

  it('are valid rows of the contract, none empty, no pair of equal answers', () => {
    for (const row of [...instructions.train, ...instructions.validation]) {
      expect(InstructionExample.parse({ kind: 'instruction', ...row }).output.trim()).not.toBe('');
    }
    for (const row of [...preferences.train, ...preferences.validation]) {
      const { chosen, rejected } = PreferenceExample.parse({ kind: 'preference', ...row });
      expect(chosen).not.toBe(rejected);
      expect(answerText(rejected).trim()).not.toBe('');
    }
  });

  it('choose answers that begin with a capital, end with a full stop and stay under 30 words', () => {
    const wanted = [
      ...instructions.validation.map((r) => r.output),
      ...preferences.train.map((r) => r.chosen),
      ...preferences.validation.map((r) => r.chosen),
    ];
    expect(wanted.filter((a) => !/^[A-Z].*[.?!]$/.test(a) || a.split(' ').length > 30)).toEqual([]);
  });

  it('reject shorter answers about as often as longer ones', () => {
    const shorter = preferences.train.filter((r) => r.rejected.length < r.chosen.length).length / preferences.train.length;
    expect(shorter).toBeGreaterThan(0.4);
    expect(shorter).toBeLessThan(0.7);
  });
});
