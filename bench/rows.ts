/**
 * Real rows with their true lengths: instructions and preference pairs of ../shared/assets where that folder lies beside the repository, else
 * those that ship with Attune; tokenised as training tokenises them, with the embedded model's tokenizer. Also their texts, for others to tokenise.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { PreferenceSequences, Sequence } from '../src/engine/data/pack.ts';
import { tokenizeExample, tokenizePreference } from '../src/engine/data/tokenize.ts';
import { type Piece, renderConversation, renderExample, renderPrompt } from '../src/engine/tokenizer/template.ts';
import { loadTokenizer } from '../src/engine/tokenizer/tokenizer.ts';
import { readDataset } from '../src/main/datasets/import.ts';
import { answerText, type Example, type Message } from '../src/shared/dataset.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
export const MODEL = here('../resources/models/attune-base');
const TEMPLATE = 'alpaca';
/** tokens a row may have: TRL's max_length */
const MAX_LENGTH = 1024;

/** Files of real rows by a short name; those of ../shared/assets only where that folder is. */
export const files: Record<string, string> = Object.fromEntries(
  Object.entries({
    instructions: here('../resources/datasets/instructions.train.jsonl'),
    alpaca: here('../../shared/assets/datasets/llama-factory/alpaca_en_demo.json'),
    pairs: here('../../shared/assets/datasets/llama-factory/dpo_en_demo.json'),
    transcripts: here('../../shared/assets/datasets/hh-rlhf/test.jsonl.gz'),
    wiki: here('../../shared/assets/datasets/llama-factory/wiki_demo.txt'),
  }).filter(([, path]) => existsSync(path)),
);

/** The first `count` examples of a file. */
export async function readExamples(path: string, count = Infinity): Promise<Example[]> {
  const examples: Example[] = [];
  for await (const row of readDataset(path, {})) {
    if ('example' in row) examples.push(row.example);
    if (examples.length === count) break;
  }
  return examples;
}

/** `texts` are what TRL is given: prompt and completion. */
export async function readInstructions(count: number): Promise<{ rows: Sequence[]; texts: object[] }> {
  const tokenizer = await loadTokenizer(MODEL);
  const examples = await readExamples(files.alpaca ?? files.instructions, count);
  const rows = examples.map((example) => tokenizeExample(example, { template: TEMPLATE, tokenizer, maxLength: MAX_LENGTH, completionOnlyLoss: true }));
  const texts = examples.map((example) => {
    const pieces = renderExample(example, TEMPLATE, tokenizer);
    const border = pieces.findIndex(({ loss }) => loss);
    return { prompt: join(pieces.slice(0, border)), completion: join(pieces.slice(border)) };
  });
  return { rows, texts };
}

/** `texts`: prompt, chosen and rejected. Pairs of whose answers nothing is left at MAX_LENGTH are passed over, as in training. */
export async function readPairs(count: number): Promise<{ rows: PreferenceSequences[]; texts: object[] }> {
  const tokenizer = await loadTokenizer(MODEL);
  const rows: PreferenceSequences[] = [], texts: object[] = [];
  for (const example of await readExamples(files.pairs ?? here('../resources/datasets/preferences.train.jsonl'), 2 * count)) {
    if (example.kind !== 'preference' || rows.length === count) continue;
    const row = tokenizePreference(example, { template: TEMPLATE, tokenizer, maxLength: MAX_LENGTH });
    if (row.chosen.length === 0 || row.rejected.length === 0) continue;
    rows.push(row);
    const messages: Message[] = typeof example.prompt === 'string' ? [{ role: 'user', content: example.prompt }] : example.prompt;
    const prompt = join(renderPrompt(messages, TEMPLATE, tokenizer));
    const answer = (content: string): string => {
      const pieces = renderConversation([...messages, { role: 'assistant', content }], TEMPLATE, tokenizer);
      return join(pieces.slice(0, pieces.findLastIndex(({ loss }) => loss) + 1)).slice(prompt.length);
    };
    texts.push({ prompt, chosen: answer(answerText(example.chosen)), rejected: answer(answerText(example.rejected)) });
  }
  return { rows, texts };
}

const join = (pieces: Piece[]): string => pieces.map(({ text }) => text).join('');
