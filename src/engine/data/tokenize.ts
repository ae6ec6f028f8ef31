/**
 * One example → token ids and which of them are targets. The text is tokenised as a whole, so ids equal those of the rendered string
 * (transformers' apply_chat_template), and the mask follows from where the pieces lie in it. Rows over maxLength are cut at the end (TRL's keep_start).
 */
import type { Example, Message, PreferenceExample, Template } from '../../shared/dataset.ts';
import { renderConversation, renderExample, renderPrompt } from '../tokenizer/template.ts';
import type { Piece, Tokenizer } from '../tokenizer/tokenizer.ts';
import type { PreferenceSequences, Sequence } from './pack.ts';

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
  const messages: Message[] = typeof example.prompt === 'string' ? [{ role: 'user', content: example.prompt }] : example.prompt;
  const asked = encodePieces(renderPrompt(messages, template, tokenizer), tokenizer).tokens;
  const [chosen, rejected] = [example.chosen, example.rejected].map((content) => {
    const { tokens, loss } = encodePieces(renderConversation([...messages, { role: 'assistant', content }], template, tokenizer), tokenizer);
    return tokens.slice(0, loss.lastIndexOf(1) + 1);
  });
  let shared = 0;
  while (shared < asked.length && asked[shared] === chosen[shared] && asked[shared] === rejected[shared]) shared++;
  const cut = (tokens: number[]): Int32Array => Int32Array.from(tokens.slice(shared, maxLength));
  return {
    prompt: Int32Array.from(asked.slice(0, Math.min(shared, maxLength))),
    chosen: cut(chosen),
    rejected: cut(rejected),
    truncated: Math.max(chosen.length, rejected.length) > maxLength,
  };
}
