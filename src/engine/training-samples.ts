/**
 * What a model in training says: a few held-out prompts answered greedily, as it is at a step. Prompts are cut from the rows exactly as the
 * trainer sees them. It draws no random number and touches neither weights nor optimiser, so a run ends with the same bits with or without it.
 * Where nothing is held out, prompts are of training rows.
 */
import { answerText, type Example, messageText } from '../shared/dataset.ts';
import type { EngineEvent, TrainJob } from '../shared/job.ts';
import { Sampling } from '../shared/sampling.ts';
import { readExamples } from './data/read.ts';
import { tokenizeExample, tokenizePreference, tokenizeRanking, tokenizeUnpaired } from './data/tokenize.ts';
import type { LanguageModel } from './model/language-model.ts';
import { generate } from './sampling/generate.ts';
import { asMessages, instructionMessages } from './tokenizer/template.ts';
import type { Tokenizer } from './tokenizer/tokenizer.ts';

type Sample = Extract<EngineEvent, { type: 'samples' }>['samples'][number];
/** What comes before a row's answer, as tokens and as people see it, and that answer. */
export type Prompt = { tokens: number[]; prompt: Sample['prompt']; expected: string | null };

const MAX_TOKENS = 64;
/** Prompts are spread over the first so many rows. */
const ROWS = 1000;
/** Of a plain text, what is given, and how many characters of what follows are shown beside the model's. */
const FIRST_WORDS = /^\s*(?:\S+\s+){1,8}/;
const SHOWN_CHARACTERS = 300;

export type TrainingSampler = (cancelled: () => boolean) => Promise<Sample[]>;

/** Null when the recipe wants none, or no row has a prompt that can be answered. */
export async function createTrainingSampler(job: TrainJob, model: LanguageModel, tokenizer: Tokenizer): Promise<TrainingSampler | null> {
  const prompts = job.recipe.evalSamples > 0 ? await choosePrompts(job, model.config.maxPositionEmbeddings, tokenizer) : [];
  if (prompts.length === 0) return null;
  const sampling = Sampling.parse({ temperature: 0, maxTokens: MAX_TOKENS });
  return async (cancelled) => {
    const samples: Sample[] = [];
    const options = { batchSize: prompts.length, cancelled };
    for await (const event of generate(model, tokenizer, prompts.map(({ tokens }) => tokens), sampling, options)) {
      if (event.type !== 'completion') continue;
      const { prompt, expected } = prompts[event.index];
      samples[event.index] = { prompt, completion: event.text, expected };
    }
    return samples;
  };
}

/** So many of the items, at even distances; all where there are fewer. */
export function spread<T>(items: T[], count: number): T[] {
  const wanted = Math.min(count, items.length);
  return Array.from({ length: wanted }, (_, i) => items[Math.floor((i * items.length) / wanted)]);
}

async function choosePrompts({ recipe, train, validation }: TrainJob, maxPositions: number, tokenizer: Tokenizer): Promise<Prompt[]> {
  const rows: Example[] = [];
  for await (const example of readExamples(validation ?? train)) {
    rows.push(example);
    if (rows.length === ROWS) break;
  }
  const settings = { template: recipe.template, tokenizer, maxLength: recipe.maxLength, completionOnlyLoss: true };
  return spread(rows, recipe.evalSamples).flatMap((example) => {
    try {
      const prompt = promptOf(example, settings);
      return prompt.tokens.length > 0 && prompt.tokens.length + 1 < maxPositions ? [prompt] : [];
    } catch {
      return []; // a row its template refuses; data/prepare.ts tells of it
    }
  });
}

export function promptOf(example: Example, settings: Parameters<typeof tokenizeExample>[1]): Prompt {
  switch (example.kind) {
    case 'preference': {
      const tokens = Array.from(tokenizePreference(example, settings).prompt);
      return { tokens, prompt: asMessages(example.prompt), expected: answerText(example.chosen) };
    }
    case 'ranking':
      return { tokens: Array.from(tokenizeRanking(example, settings).prompt), prompt: asMessages(example.prompt), expected: example.responses[0] };
    case 'classification':
      throw new Error(`${example.kind} rows train a model that scores, and has no answers to show`);
    case 'unpaired':
      return { tokens: Array.from(tokenizeUnpaired(example, settings).prompt), prompt: asMessages(example.prompt), expected: example.label ? answerText(example.completion) : null };
    case 'text': {
      const given = FIRST_WORDS.exec(example.text)?.[0].trimEnd() ?? example.text.trim();
      const tokens = settings.tokenizer.encode(given, { addSpecialTokens: true });
      const rest = example.text.slice(example.text.indexOf(given) + given.length).trim();
      return { tokens, prompt: given, expected: rest.slice(0, SHOWN_CHARACTERS) || null };
    }
    case 'completion':
      return { tokens: beforeAnswer(example, settings), prompt: example.prompt, expected: example.completion };
    case 'instruction':
      return { tokens: beforeAnswer(example, settings), prompt: instructionMessages(example).slice(0, -1), expected: example.output };
    case 'conversation': {
      const last = example.messages.findLastIndex(({ role }) => role === 'assistant');
      const prompt = example.messages.slice(0, last);
      return { tokens: beforeAnswer(example, settings), prompt, expected: messageText(example.messages[last]) };
    }
  }
}

/** The row's tokens up to its last answer. */
function beforeAnswer(example: Example, settings: Parameters<typeof tokenizeExample>[1]): number[] {
  const { tokens, loss } = tokenizeExample(example, settings);
  const start = loss.lastIndexOf(0, loss.lastIndexOf(1)) + 1;
  return Array.from(tokens.subarray(0, start));
}
