/**
 * The embedded instruction set in Alpaca's form {instruction, input, output}, held out by word: no word asked about in the
 * validation file is asked about in training. In training a part of the answers is casual or wordy, mostly where the question is, as in
 * any collected data; validation answers are all in the clear style, so perplexity on them measures what a person wants to read.
 *
 *   node scripts/resources/instructions.ts
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { WORDNET_FOLDER } from './corpus.ts';
import { buildLexicon, type Entry, type Lexicon } from './lexicon.ts';
import { createRandom, type Random } from './random.ts';
import { casual, wordy } from './style.ts';
import {
  askable,
  askableKinds,
  fits,
  makeExamplesPrompt,
  makePrompt,
  partOf,
  templateCount,
  type Part,
  type Prompt,
  type Task,
} from './tasks.ts';
import { readWordNet } from './wordnet.ts';

export const DATASETS = 'resources/datasets';

export type InstructionRow = { instruction: string; input: string; output: string };

/** Rows of each task; what the words of a split cannot fill is left out. */
const TRAIN_ROWS: Record<Task, number> = {
  define: 2300,
  synonym: 1000,
  antonym: 400,
  kind: 1100,
  sentence: 900,
  examples: 600,
  classify: 500,
  which: 300,
  truth: 700,
};
const VALIDATION_ROWS: Record<Task, number> = {
  define: 100,
  synonym: 45,
  antonym: 18,
  kind: 50,
  sentence: 22,
  examples: 10,
  classify: 15,
  which: 10,
  truth: 30,
};

/** How often the answer follows the manner of the question, and how often an answer is uneven anyway. */
const FOLLOWS_MANNER = 0.85;
const UNEVEN_ANYWAY = 0.08;

/** Prompts about the words of one part of the split, spread over words and templates. */
export function makePrompts(lexicon: Lexicon, part: Part, rows: Record<Task, number>, random: Random): Prompt[] {
  const pool = askable(lexicon).filter((e) => partOf(e.word) === part);
  const withKind = pool.filter((e) => fits('kind', e));
  const prompts: Prompt[] = [];
  const seen = new Set<string>();
  const add = (prompt: Prompt): void => {
    const key = `${prompt.instruction}\n${prompt.input}`;
    if (!seen.has(key)) prompts.push(prompt);
    seen.add(key);
  };
  for (const task of Object.keys(rows) as Task[]) {
    if (task === 'examples') {
      const kinds = askableKinds(lexicon).filter((k) => partOf(k) === part);
      const pairs = kinds.flatMap((kind) => Array.from({ length: templateCount(task) }, (_, i) => [kind, i] as const));
      for (const [kind, i] of random.shuffle(pairs).slice(0, rows[task])) add(makeExamplesPrompt(kind, i, lexicon));
      continue;
    }
    const words = random.shuffle(pool.filter((e) => fits(task, e)));
    const offset = Math.floor(random.next() * templateCount(task));
    for (let i = 0; i < rows[task]; i++) {
      const round = Math.floor(i / words.length); // each further round asks the same words through another template
      if (round >= templateCount(task)) break;
      const entry = words[i % words.length];
      add(
        makePrompt(task, entry, offset + i + round * (1 + (words.length % templateCount(task) === 0 ? 1 : 0)), withKind, lexicon, random),
      );
    }
  }
  return random.shuffle(prompts);
}

export function buildInstructions(
  lexicon: Lexicon,
  seed = 11,
): { train: InstructionRow[]; validation: InstructionRow[]; trainPrompts: Prompt[]; validationPrompts: Prompt[] } {
  const random = createRandom(seed);
  const trainPrompts = makePrompts(lexicon, 'train', TRAIN_ROWS, random);
  const validationPrompts = makePrompts(lexicon, 'instructions', VALIDATION_ROWS, random);
  const train = trainPrompts.map((p) => ({ instruction: p.instruction, input: p.input, output: collectedAnswer(p, random) }));
  const validation = validationPrompts.map((p) => ({ instruction: p.instruction, input: p.input, output: p.answer }));
  return { train, validation, trainPrompts, validationPrompts };
}

function collectedAnswer(prompt: Prompt, random: Random): string {
  const manner =
    prompt.manner !== 'clear' && random.chance(FOLLOWS_MANNER)
      ? prompt.manner
      : random.chance(UNEVEN_ANYWAY)
        ? random.pick(['casual', 'wordy'] as const)
        : 'clear';
  if (manner === 'casual') return casual(prompt.answer);
  return manner === 'wordy' ? wordy(prompt.answer, random) : prompt.answer;
}

/** Every word a set of prompts asks about. */
export function askedWords(prompts: readonly Prompt[]): Set<string> {
  return new Set(prompts.flatMap((p) => p.asked));
}

export function pickSentences(words: readonly Entry[], random: Random): string[] {
  return random
    .shuffle(words)
    .flatMap((e) => e.sentences.slice(0, 1))
    .slice(0, 200);
}

if (import.meta.main) {
  const { train, validation } = buildInstructions(buildLexicon(readWordNet(WORDNET_FOLDER)));
  mkdirSync(DATASETS, { recursive: true });
  for (const [split, rows] of Object.entries({ train, validation })) {
    const path = `${DATASETS}/instructions.${split}.jsonl`;
    writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    console.log(`${path}: ${rows.length} rows`);
  }
}
