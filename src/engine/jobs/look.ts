/**
 * Looking at a place and at a text with a loaded model: what each filter makes of the next-token distribution (`look`), and how the model itself finds every
 * token of a prompt and an answer (`read`). Nothing is sampled here.
 */
import type { LookedTrace, ReadText } from '../../shared/job.ts';
import type { Sampling } from '../../shared/sampling.ts';
import { packSequences } from '../data/pack.ts';
import type { LanguageModel } from '../model/language-model.ts';
import { tokenText } from '../sampling/answer.ts';
import { traceFilters } from '../sampling/sample.ts';
import { createDecoder } from '../tokenizer/stream.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';

/** After `prompt` and the answer so far. */
export async function lookAt(model: LanguageModel, tokenizer: Tokenizer, prompt: number[], completion: number[], sampling: Sampling, count: number): Promise<LookedTrace> {
  const tokens = [...prompt, ...completion];
  checkLength(tokens, model);
  const cache = model.createCache(tokens.length);
  try {
    const logits = await model.decode(cache, [{ sequence: cache.open(tokens.length), tokens }]);
    const trace = traceFilters(logits, { prompt, completion }, sampling, count);
    return { ...trace, tokens: trace.tokens.map((token) => ({ ...token, text: tokenText(token.id, tokenizer) })) };
  } finally {
    cache.free();
  }
}

/** Every token of prompt and answer; the text's first has nothing before it that could predict it. */
export async function readText(model: LanguageModel, tokenizer: Tokenizer, prompt: number[], answer: number[]): Promise<ReadText> {
  const tokens = Int32Array.from([...prompt, ...answer]);
  checkLength(tokens, model);
  const { logprobs, entropy, best } = await model.forward(packSequences([{ tokens, loss: new Uint8Array(tokens.length).fill(1) }]), { entropy: true, best: true });
  const decoder = createDecoder(tokenizer, { skipSpecialTokens: false });
  const read = Array.from(tokens, (id, i): ReadText['tokens'][number] => ({
    id,
    text: decoder.push(id) + (i === tokens.length - 1 ? decoder.end() : ''),
    logprob: i === 0 ? null : logprobs[i - 1],
    entropy: i === 0 ? null : entropy![i - 1],
    best: i === 0 ? null : { id: best![i - 1], text: tokenText(best![i - 1], tokenizer) },
  }));
  return { tokens: read, promptTokens: prompt.length, promptPerplexity: perplexity(logprobs.subarray(0, prompt.length - 1)), answerPerplexity: perplexity(logprobs.subarray(prompt.length - 1)) };
}

function perplexity(logprobs: Float32Array): number | null {
  return logprobs.length === 0 ? null : Math.exp(-logprobs.reduce((sum, logprob) => sum + logprob, 0) / logprobs.length);
}

function checkLength(tokens: ArrayLike<number>, { config }: LanguageModel): void {
  if (tokens.length > config.maxPositionEmbeddings) throw new Error(`the text has ${tokens.length} tokens, the model takes ${config.maxPositionEmbeddings} in all: shorten it`);
  if (tokens.length === 0) throw new Error('the text has no tokens: give it some');
}
