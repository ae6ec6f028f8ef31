/**
 * A model as a judge (Zheng et al., "Judging LLM-as-a-Judge", 2023; RLAIF, Lee et al., 2023): shown a rubric, a prompt and two answers named
 * A and B, it would write one letter. Nothing is sampled: what counts is how likely it finds each letter. Models favour a place, so every
 * pair is asked in both orders; how far the two differ is the caller's to look at (Judgement).
 */
import { answerText, messageText, type PreferenceExample, type Template } from '../../shared/dataset.ts';
import { sumBySequence } from '../algorithms/training.ts';
import { packPreferences, type PreferenceSequences } from '../data/pack.ts';
import { microBatches } from '../data/plan.ts';
import { tokenizePreference } from '../data/tokenize.ts';
import type { LanguageModel } from '../model/language-model.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { Judge } from './judge.ts';

/** Tokens of a forward pass; only speed depends on it. */
const BATCH_TOKENS = 4096;

export function rubricJudge(model: LanguageModel, tokenizer: Tokenizer, template: Template, rubric: string): Judge {
  const question = (pair: PreferenceExample, a: string, b: string): PreferenceSequences | null => {
    const prompt = rubricPrompt(rubric, pair.prompt, a, b);
    const settings = { template, tokenizer, maxLength: model.config.maxPositionEmbeddings };
    const { truncated, ...letters } = tokenizePreference({ kind: 'preference', prompt, chosen: 'A', rejected: 'B' }, settings);
    return truncated ? null : letters;
  };
  return async (pairs) => {
    const asked: PreferenceSequences[] = [];
    const places = pairs.map((pair) => {
      const [chosen, rejected] = [answerText(pair.chosen), answerText(pair.rejected)];
      const both = [question(pair, chosen, rejected), question(pair, rejected, chosen)];
      if (both.some((one) => one === null)) return null;
      return asked.push(...(both as PreferenceSequences[])) - 2;
    });
    const odds = await letterOdds(model, asked);
    return places.map((at) => (at === null ? null : { inOrder: odds[at], swapped: -odds[at + 1] }));
  };
}

/** Log-odds of A over B, nats; the two letters end alike, and what both have in common cancels out. */
async function letterOdds(model: LanguageModel, asked: PreferenceSequences[]): Promise<Float64Array> {
  const odds = new Float64Array(asked.length);
  const order = Int32Array.from(asked, (_, i) => i);
  const lengths = asked.map(({ prompt, chosen, rejected }) => prompt.length + chosen.length + rejected.length);
  for (const rows of microBatches(order, lengths, { perDeviceTrainBatchSize: 0, maxTokens: BATCH_TOKENS })) {
    const batch = packPreferences(Array.from(rows, (row) => lettersAlone(asked[row])));
    const { logprobs } = await model.forward(batch, {});
    const sums = sumBySequence(logprobs, batch.sequences, batch.sequenceCount);
    rows.forEach((row, i) => (odds[row] = sums[2 * i] - sums[2 * i + 1]));
  }
  return odds;
}

/** Without the end-of-turn token: how surely a model stops after a letter says nothing of the answers. */
function lettersAlone({ prompt, chosen, rejected }: PreferenceSequences): PreferenceSequences {
  return { prompt, chosen: chosen.subarray(0, -1), rejected: rejected.subarray(0, -1) };
}

export function rubricPrompt(rubric: string, prompt: PreferenceExample['prompt'], a: string, b: string): string {
  const asked = typeof prompt === 'string' ? prompt : prompt.map((message) => `${message.role}: ${messageText(message)}`).join('\n');
  return `${rubric.trim()}\n\nPrompt:\n${asked}\n\nAnswer A:\n${a}\n\nAnswer B:\n${b}\n\nWhich answer is better, A or B?`;
}
