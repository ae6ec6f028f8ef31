/**
 * The tasks of the instruction and preference sets: which question can be asked about a word, in which words, and the one right answer.
 * Every prompt has an asked word (or kind), and that word's hash puts it in one split for ever: train, the held-out instructions or
 * the held-out preferences. Here stand the right answers in the clear style; what else people write is style.ts.
 */
import { isOfKind } from './corpus.ts';
import { isSentence, type Entry, type Lexicon } from './lexicon.ts';
import { antonymSentence, capital, definitionSentence, examplesOfKindSentence, kindSentence, subject, synonymSentence } from './phrases.ts';
import { hash, type Random } from './random.ts';

export const TASKS = ['define', 'synonym', 'antonym', 'kind', 'sentence', 'examples', 'classify', 'which', 'truth'] as const;
export type Task = (typeof TASKS)[number];

/** How a template's own rows were answered when they were collected: people answer a casual question casually. */
export type Manner = 'clear' | 'casual' | 'wordy';

export type Prompt = {
  task: Task;
  manner: Manner;
  instruction: string;
  input: string;
  answer: string;
  /** the words asked about, lower case */ asked: string[];
  entry: Entry;
};

export type Part = 'train' | 'instructions' | 'preferences';

/** One word in twelve is held out of training: half of them for either set. */
export function partOf(word: string): Part {
  const bucket = hash(`attune:${word.toLowerCase()}`) % 24;
  return bucket === 0 ? 'instructions' : bucket === 1 ? 'preferences' : 'train';
}

type Template = [manner: Manner, instruction: string, input?: string];

/** {x} is the word as asked, {a} with its article ("a dog", "to run"), {k} a kind, {l} a list, {s} a statement. */
const TEMPLATES: Record<Task, readonly Template[]> = {
  define: [
    ['clear', 'Define the word {x}.'],
    ['clear', 'What does the word {x} mean?'],
    ['clear', 'Give a short definition of the word.', '{x}'],
    ['clear', 'Explain the meaning of {x} in one sentence.'],
    ['casual', 'tell me what {x} means'],
    ['casual', '{x}, what is that?'],
    ['wordy', 'Can you tell me what {x} means?'],
    ['clear', '다음 단어의 뜻을 영어로 쓰세요: {x}'],
    ['clear', '영어 단어의 뜻을 영어 한 문장으로 설명하세요.', '{x}'],
  ],
  synonym: [
    ['clear', 'Give a synonym of {x}.'],
    ['clear', 'What is another word for {x}?'],
    ['clear', 'Name a word that means nearly the same.', '{x}'],
    ['casual', 'another word for {x}'],
    ['wordy', 'Can you think of another word for {x}?'],
    ['clear', '다음 단어와 비슷한 말을 영어로 하나 쓰세요: {x}'],
  ],
  antonym: [
    ['clear', 'What is the opposite of {x}?'],
    ['clear', 'Give the opposite of the word.', '{x}'],
    ['casual', 'opposite of {x}'],
    ['wordy', 'Can you tell me the opposite of {x}?'],
    ['clear', '다음 단어의 반대말을 영어로 쓰세요: {x}'],
  ],
  kind: [
    ['clear', 'What kind of thing is {a}?'],
    ['clear', 'Name the broader kind of the word.', '{x}'],
    ['clear', 'Which kind does {x} belong to?'],
    ['casual', '{x} is a kind of what'],
    ['wordy', 'Can you tell me what kind of thing {a} is?'],
    ['clear', '다음 단어는 어떤 종류인지 영어로 답하세요: {x}'],
  ],
  sentence: [
    ['clear', 'Use the word {x} in a sentence.'],
    ['clear', 'Write a sentence with the word.', '{x}'],
    ['casual', 'a sentence with {x}'],
    ['clear', '다음 단어를 넣어 영어 문장을 하나 만드세요: {x}'],
  ],
  examples: [
    ['clear', 'Name three kinds of {k}.'],
    ['clear', 'List three examples of the kind.', '{k}'],
    ['clear', 'Give three examples of {k}.'],
    ['casual', 'some kinds of {k}'],
    ['wordy', 'Can you name some kinds of {k}?'],
    ['clear', '{k}의 종류를 영어로 세 가지 쓰세요.'],
  ],
  classify: [
    ['clear', 'Say of each word what kind it is.', '{l}'],
    ['clear', 'Sort these words into kinds: {l}.'],
    ['clear', 'Classify the words: {l}.'],
    ['casual', 'what kinds are these: {l}'],
    ['clear', '다음 단어들을 종류별로 나누어 영어로 쓰세요: {l}'],
  ],
  which: [
    ['clear', 'Which of these is a kind of {k}: {l}?'],
    ['clear', 'Pick the word that is a kind of {k}.', '{l}'],
    ['casual', '{l}, which one is a kind of {k}'],
  ],
  truth: [
    ['clear', 'True or false: {s}'],
    ['clear', 'Say whether the statement is true or false.', '{s}'],
    ['casual', '{s} is that true'],
    ['clear', '다음 문장이 참인지 거짓인지 영어로 답하세요: {s}'],
  ],
};

/** Words that can be asked about: common, with a short definition that does not lean on the word itself. */
export function askable(lexicon: Lexicon): Entry[] {
  return lexicon.entries.filter((e) => {
    const words = e.definition.toLowerCase().match(/[a-z]+/g) ?? [];
    const own = e.word.toLowerCase();
    if (e.rank >= 5000 || words.length < 2 || words.length > 13) return false;
    return !repeats(words) && !words.some((w) => w === own || (own.length > 4 && w.startsWith(own)));
  });
}

/** True when three words stand in the same order twice. */
function repeats(words: readonly string[]): boolean {
  const runs = words.slice(2).map((w, i) => `${words[i]} ${words[i + 1]} ${w}`);
  return new Set(runs).size < runs.length;
}

/** Kinds of which three well-known examples can be named. */
export function askableKinds(lexicon: Lexicon): string[] {
  return [...lexicon.kinds].filter(([, words]) => words.filter((w) => w.rank < 5000).length >= 4).map(([kind]) => kind);
}

/** Can this be asked about the word at all? */
export function fits(task: Task, entry: Entry): boolean {
  switch (task) {
    case 'define':
      return true;
    case 'synonym':
      return entry.synonyms.length > 0;
    case 'antonym':
      return entry.antonym !== null;
    case 'sentence':
      return sentenceFor(entry) !== undefined;
    default:
      return entry.kind !== null;
  }
}

export function sentenceFor(entry: Entry): string | undefined {
  return entry.sentences.find((s) => isSentence(s) && s.split(' ').length <= 11);
}

export function templateCount(task: Task): number {
  return TEMPLATES[task].length;
}

/** `number` picks the template; `companions` are words of the same part of the split, for lists and false statements. */
export function makePrompt(
  task: Task,
  entry: Entry,
  number: number,
  companions: readonly Entry[],
  lexicon: Lexicon,
  random: Random,
): Prompt {
  const [manner, instruction, input = ''] = TEMPLATES[task][number % TEMPLATES[task].length];
  const asked = [entry.word];
  const slots: Record<string, string> = { x: entry.word, a: subject(entry), k: entry.kind ?? '' };
  let answer: string;
  switch (task) {
    case 'define':
      answer = definitionSentence(entry);
      break;
    case 'synonym':
      answer = synonymSentence(entry, entry.synonyms[0]);
      break;
    case 'antonym':
      answer = antonymSentence(entry);
      break;
    case 'kind':
      answer = kindSentence(entry);
      break;
    case 'sentence':
      answer = sentenceFor(entry)!;
      break;
    case 'examples':
      throw new Error('makePrompt: examples are asked of a kind; use makeExamplesPrompt');
    case 'classify': {
      const others = strangers(entry, companions, lexicon, random, random.chance(0.5) ? 1 : 2);
      const items = random.shuffle([entry, ...others]);
      asked.push(...others.map((o) => o.word));
      slots.l = items.map((i) => i.word).join(', ');
      answer = `${capital(items.map((i) => `${i.word}: ${i.kind}`).join(', '))}.`;
      break;
    }
    case 'which': {
      const others = strangers(entry, companions, lexicon, random, 2);
      asked.push(...others.map((o) => o.word));
      slots.l = random
        .shuffle([entry, ...others])
        .map((i) => i.word)
        .join(', ');
      answer = kindSentence(entry);
      break;
    }
    case 'truth': {
      const isTrue = random.chance(0.5);
      const statement = kindSentence(entry, isTrue ? entry.kind! : strangers(entry, companions, lexicon, random, 1)[0].kind!);
      slots.s = manner === 'casual' ? statement.slice(0, -1).toLowerCase() + ',' : statement;
      answer = isTrue ? `True. ${kindSentence(entry)}` : `False. ${kindSentence(entry)}`;
      break;
    }
  }
  return {
    task,
    manner,
    instruction: fill(instruction, slots),
    input: fill(input, slots),
    answer,
    asked: asked.map((w) => w.toLowerCase()),
    entry,
  };
}

export function makeExamplesPrompt(kind: string, number: number, lexicon: Lexicon): Prompt {
  const [manner, instruction, input = ''] = TEMPLATES.examples[number % TEMPLATES.examples.length];
  const known = lexicon.kinds.get(kind)!.filter((w) => w.rank < 5000);
  const answer = examplesOfKindSentence(
    kind,
    known.slice(0, 3).map((w) => w.word),
  );
  return {
    task: 'examples',
    manner,
    instruction: fill(instruction, { k: kind }),
    input: fill(input, { k: kind }),
    answer,
    asked: [kind.toLowerCase()],
    entry: known[0],
  };
}

/** Words of other kinds than the entry's and each other's. */
function strangers(entry: Entry, companions: readonly Entry[], lexicon: Lexicon, random: Random, count: number): Entry[] {
  const found: Entry[] = [];
  for (let tries = 0; found.length < count && tries < 1000; tries++) {
    const other = random.pick(companions);
    if (!other.kind || other.word === entry.word) continue;
    const clash = [entry, ...found].some((e) => isOfKind(other, e.kind!, lexicon) || isOfKind(e, other.kind!, lexicon));
    if (!clash) found.push(other);
  }
  if (found.length < count) throw new Error(`tasks: no ${count} words of other kinds than ${entry.word}'s among ${companions.length}`);
  return found;
}

function fill(template: string, slots: Record<string, string>): string {
  return template.replace(/\{(\w)\}/g, (_, name: string) => slots[name]);
}
