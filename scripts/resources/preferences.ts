/**
 * The embedded preference set {prompt, chosen, rejected}: the same questions as the instruction set, about words of their own in
 * validation; chosen is clear, short and well-formed, rejected rambles, has the wrong form, strays or is circular. Rejected answers
 * are about as often shorter as longer than chosen ones, so that length alone does not tell them apart.
 *
 *   node scripts/resources/preferences.ts
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { WORDNET_FOLDER } from './corpus.ts';
import { DATASETS, makePrompts, pickSentences } from './instructions.ts';
import { buildLexicon, type Lexicon } from './lexicon.ts';
import { createRandom, type Random } from './random.ts';
import { bare, casual, circular, strayed, wordy } from './style.ts';
import { askable, partOf, type Part, type Prompt, type Task } from './tasks.ts';
import { readWordNet } from './wordnet.ts';

export type PreferenceRow = { prompt: string; chosen: string; rejected: string };

const TRAIN_ROWS: Record<Task, number> = {
  define: 680,
  synonym: 300,
  antonym: 130,
  kind: 330,
  sentence: 200,
  examples: 120,
  classify: 100,
  which: 60,
  truth: 150,
};
const VALIDATION_ROWS: Record<Task, number> = {
  define: 68,
  synonym: 32,
  antonym: 12,
  kind: 34,
  sentence: 16,
  examples: 8,
  classify: 10,
  which: 6,
  truth: 16,
};

type Fault = 'casual' | 'wordy' | 'circular' | 'bare' | 'strayed' | 'unfinished' | 'shouted';
const FAULTS: readonly [Fault, share: number][] = [
  ['casual', 0.24],
  ['wordy', 0.22],
  ['circular', 0.24],
  ['bare', 0.13],
  ['strayed', 0.08],
  ['unfinished', 0.06],
  ['shouted', 0.03],
];

export function buildPreferences(
  lexicon: Lexicon,
  seed = 13,
): { train: PreferenceRow[]; validation: PreferenceRow[]; trainPrompts: Prompt[]; validationPrompts: Prompt[] } {
  const random = createRandom(seed);
  const make = (part: Part, rows: Record<Task, number>): { prompts: Prompt[]; rows: PreferenceRow[] } => {
    const prompts = makePrompts(lexicon, part, rows, random);
    const sentences = pickSentences(
      askable(lexicon).filter((e) => partOf(e.word) === part),
      random,
    );
    return { prompts, rows: prompts.map((p) => preferenceRow(p, sentences, random)) };
  };
  const train = make('train', TRAIN_ROWS);
  const validation = make('preferences', VALIDATION_ROWS);
  return { train: train.rows, validation: validation.rows, trainPrompts: train.prompts, validationPrompts: validation.prompts };
}

function preferenceRow(prompt: Prompt, sentences: readonly string[], random: Random): PreferenceRow {
  const text = prompt.input ? `${prompt.instruction}\n${prompt.input}` : prompt.instruction;
  for (;;) {
    const rejected = withFault(pickFault(random), prompt, sentences, random);
    if (rejected !== prompt.answer && rejected.length > 0) return { prompt: text, chosen: prompt.answer, rejected };
  }
}

function pickFault(random: Random): Fault {
  let at = random.next();
  for (const [fault, share] of FAULTS) if ((at -= share) < 0) return fault;
  return 'casual';
}

function withFault(fault: Fault, prompt: Prompt, sentences: readonly string[], random: Random): string {
  switch (fault) {
    case 'casual':
      return casual(prompt.answer);
    case 'wordy':
      return wordy(prompt.answer, random);
    case 'circular':
      return circular(prompt, random);
    case 'bare':
      return bare(prompt);
    case 'strayed':
      return strayed(prompt.answer, sentences, random);
    case 'unfinished': {
      const words = prompt.answer.split(' ');
      return words
        .slice(0, Math.max(2, Math.floor(words.length * (0.5 + 0.4 * random.next()))))
        .join(' ')
        .replace(/[.,]$/, '');
    }
    case 'shouted':
      return prompt.answer.toUpperCase();
  }
}

if (import.meta.main) {
  const { train, validation } = buildPreferences(buildLexicon(readWordNet(WORDNET_FOLDER)));
  mkdirSync(DATASETS, { recursive: true });
  for (const [split, rows] of Object.entries({ train, validation })) {
    const path = `${DATASETS}/preferences.${split}.jsonl`;
    writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    const shorter = rows.filter((r) => r.rejected.length < r.chosen.length).length / rows.length;
    console.log(`${path}: ${rows.length} pairs, rejected is the shorter one in ${(100 * shorter).toFixed(0)} %`);
  }
}
