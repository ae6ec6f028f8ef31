/**
 * One example → token ids and which of them are targets. The text is tokenised as a whole, so ids equal those of the rendered string
 * (transformers' apply_chat_template), and the mask follows from where the pieces lie in it. Rows over maxLength are cut at the end (TRL's keep_start).
 */
import { type Answer, answerMessage, type Example, type Message, type PreferenceExample, type RankingExample, type Template, type UnpairedExample } from '../../shared/dataset.ts';
import type { Tool } from '../../shared/tools.ts';
import { asMessages, renderConversation, renderExample, renderPrompt } from '../tokenizer/template.ts';
import type { Piece, Tokenizer } from '../tokenizer/tokenizer.ts';
import type { PreferenceSequences, RankedSequences, Sequence, UnpairedSequence } from './pack.ts';

export type TokenizeSettings = {
  template: Template;
  tokenizer: Tokenizer;
  /** tokens a row may have */
  maxLength: number;
  /** false: the prompt is trained too */
  completionOnlyLoss: boolean;
};

export function encodePieces(pieces: Piece[], tokenizer: Tokenizer): { tokens: number[]; loss: Uint8Array } {
  const { ids, loss } = tokenizer.encodePieces(pieces);
  return { tokens: ids, loss: Uint8Array.from(loss, Number) };
}

export function tokenizeExample(example: Example, settings: TokenizeSettings): Sequence & { truncated: boolean } {
  const { template, tokenizer, maxLength, completionOnlyLoss } = settings;
  const { tokens, loss } = encodePieces(renderExample(example, template, tokenizer), tokenizer);
  if (!completionOnlyLoss) loss.fill(1);
  return { tokens: Int32Array.from(tokens.slice(0, maxLength)), loss: loss.slice(0, maxLength), truncated: tokens.length > maxLength };
}

/**
 * TRL's DPOTrainer: the prompt's ids, then what each answer adds when tokenised together with it. Where a merge over the border makes
 * them differ (TRL warns and goes on), the prompt ends with the last token all agree on. Answers end with the end-of-turn token; what a
 * template writes after it is left out, being the same for both and never sampled.
 */
export function tokenizePreference(
  example: PreferenceExample,
  { template, tokenizer, maxLength }: Omit<TokenizeSettings, 'completionOnlyLoss'>,
): PreferenceSequences & { truncated: boolean } {
  const { prompt, answers } = tokenizeAnswers(example, [example.chosen, example.rejected], { template, tokenizer });
  const [chosen, rejected] = answers.map((tokens) => Int32Array.from(tokens.slice(0, Math.max(0, maxLength - prompt.length))));
  return {
    prompt: Int32Array.from(prompt.slice(0, maxLength)),
    chosen,
    rejected,
    truncated: answers.some((tokens) => prompt.length + tokens.length > maxLength),
  };
}

/** A pair is a ranking of two. Nothing is cut: a reward model scores a text at its end (TRL leaves longer rows out). */
export function tokenizeRanking(example: PreferenceExample | RankingExample, settings: Pick<TokenizeSettings, 'template' | 'tokenizer'>): RankedSequences {
  const responses = example.kind === 'ranking' ? example.responses : [example.chosen, example.rejected];
  const { prompt, answers } = tokenizeAnswers(example, responses, settings);
  return {
    prompt: Int32Array.from(prompt),
    answers: answers.map((tokens) => Int32Array.from(tokens)),
    margin: (example.kind === 'preference' && example.margin) || 0,
  };
}

/** The same with one answer (TRL's KTOTrainer), not cut: its answer is put after other prompts, too, and each of these is cut as a whole. */
export function tokenizeUnpaired(example: UnpairedExample, settings: Pick<TokenizeSettings, 'template' | 'tokenizer'>): UnpairedSequence {
  const { prompt, answers } = tokenizeAnswers(example, [example.completion], settings);
  return { prompt: Int32Array.from(prompt), completion: Int32Array.from(answers[0]), label: example.label };
}

/** The ids all answers begin with, no further than the prompt's end, and what each goes on with. */
function tokenizeAnswers(
  asking: { prompt: string | Message[]; tools?: Tool[] },
  responses: Answer[],
  { template, tokenizer }: Pick<TokenizeSettings, 'template' | 'tokenizer'>,
): { prompt: number[]; answers: number[][] } {
  const messages = asMessages(asking.prompt);
  const asked = encodePieces(renderPrompt(messages, template, tokenizer, asking.tools), tokenizer).tokens;
  const answers = responses.map((answer) => {
    const { tokens, loss } = encodePieces(renderConversation([...messages, answerMessage(answer)], template, tokenizer, asking.tools), tokenizer);
    return tokens.slice(0, loss.lastIndexOf(1) + 1);
  });
  let shared = 0;
  while (shared < asked.length && answers.every((tokens) => tokens[shared] === asked[shared])) shared++;
  return { prompt: asked.slice(0, shared), answers: answers.map((tokens) => tokens.slice(shared)) };
}

/** A text to classify, whole: the tokens put before any text, and its own. No end-of-turn token: others who load a classifier put none. */
export function tokenizeText(text: string, tokenizer: Tokenizer): Int32Array {
  return Int32Array.from(tokenizer.prefixIds.concat(tokenizer.encodePlain(text)));
}
