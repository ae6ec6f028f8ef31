/**
 * Batched generation with a KV cache: prompts go in, tokens stream out as they are drawn, one decode call for all live sequences.
 * Each completion draws from its own generator, seeded by (seed, index), so what stands beside it in a batch never changes it; prompts that
 * are the same are read once. Beam search is generate-beams.ts.
 */
import type { BeamText } from '../../shared/job.ts';
import type { FinishReason, Sampling } from '../../shared/sampling.ts';
import type { CacheSequence } from '../model/kv-cache.ts';
import type { LanguageModel } from '../model/language-model.ts';
import { createRandom } from '../random.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { type Answer, accept, startAnswer, takeText, tokenText } from './answer.ts';
import type { CompiledConstraint, Matcher } from './constraint/constraint.ts';
import { generateBeams } from './generate-beams.ts';
import { type Alternative, sampleToken } from './sample.ts';

export type Completion = {
  index: number; text: string; ids: number[]; logprobs: number[]; finishReason: FinishReason;
  /** All that a beam search found, best first; the first is the completion. */
  beams?: BeamText[];
};
/** `text` is what the token added: nothing while a character or a stop string may still be unfinished. All together are the completion's text. */
export type TokenEvent = { type: 'token'; index: number; text: string; id: number; logprob: number; entropy: number; alternatives: (Alternative & { text: string })[] };
export type GenerateEvent = TokenEvent | ({ type: 'completion' } & Completion);

type Live = Answer & {
  index: number;
  sequence: CacheSequence;
  /** tokens the cache has not seen yet: the prompt first, then one at a time */
  pending: number[];
  /** tokens it may have */
  limit: number;
  next: () => number;
  matcher: Matcher | null;
};

export type GenerateOptions = {
  /** Prompts decoded together. */
  batchSize: number;
  /** Read once a token. */
  cancelled: () => boolean;
  /** Likeliest tokens told at each place. */
  alternatives?: number;
  /** What every answer begins with. The last of them is told as if it had been drawn, those before are only in the completion's text. */
  begins?: number[];
  /** What every answer must be: only tokens that keep to it are drawn, and it is whole within the budget. */
  constraint?: CompiledConstraint | null;
};

/** Completes every prompt (token ids, at least one each). Yields every token as it comes, and one completion a prompt. */
export async function* generate(
  model: LanguageModel,
  tokenizer: Tokenizer,
  prompts: number[][],
  sampling: Sampling,
  { batchSize, cancelled, alternatives = 0, begins = [], constraint = null }: GenerateOptions,
): AsyncGenerator<GenerateEvent, void, void> {
  for (const prompt of prompts) checkPrompt(prompt, model);
  if (constraint) checkConstraint(constraint, prompts, sampling, model);
  if (sampling.numBeams > 1) {
    if (begins.length > 0) throw new Error('beam search has no answer that goes on from another token: set one beam');
    for (const [index, prompt] of prompts.entries()) yield* generateBeams(model, tokenizer, prompt, index, sampling, { cancelled, alternatives, constraint });
    return;
  }
  for (let start = 0; start < prompts.length; start += batchSize) {
    const group = prompts.slice(start, start + batchSize);
    const repeated = repeatedPrompts(group);
    const capacity = (prompt: number[]) =>
      Math.min(prompt.length + Math.max(sampling.maxTokens, begins.length), model.config.maxPositionEmbeddings) - (repeated.get(prompt.join())?.length ?? 0);
    const shared = [...repeated.values()].reduce((sum, tokens) => sum + tokens.length, 0);
    const cache = model.createCache(group.reduce((sum, prompt) => sum + capacity(prompt), shared));
    try {
      const prefixes = new Map<string, CacheSequence>();
      for (const [key, tokens] of repeated) {
        const sequence = cache.open(tokens.length);
        await model.decode(cache, [{ sequence, tokens }]);
        prefixes.set(key, sequence);
      }
      const known = begins.slice(0, -1);
      let forced = begins.at(-1);
      let live: Live[] = group.map((prompt, i) => ({
        ...startAnswer(prompt, tokenizer, constraint, known, sampling.stop),
        index: start + i,
        sequence: cache.open(capacity(prompt), prefixes.get(prompt.join())),
        pending: [...prompt.slice(repeated.get(prompt.join())?.length ?? 0), ...known],
        limit: Math.min(sampling.maxTokens, model.config.maxPositionEmbeddings - prompt.length),
        next: randomAfter(sampling.seed * 1_000_003 + start + i, known.length),
        matcher: constraint ? startedWith(constraint, known) : null,
      }));
      while (live.length > 0) {
        const logits = await model.decode(cache, live.map(({ sequence, pending }) => ({ sequence, tokens: pending })));
        const V = logits.length / live.length;
        const still: Live[] = [];
        for (const [i, one] of live.entries()) {
          const sampled = sampleToken(logits.subarray(i * V, (i + 1) * V), { prompt: one.prompt, completion: one.ids, mask: one.matcher?.mask(one.limit - one.ids.length) }, sampling, one.next, alternatives, forced);
          const { id, logprob, entropy } = sampled;
          one.matcher?.accept(id);
          const finishReason = accept(one, id, logprob, tokenizer, { stop: sampling.stop, limit: one.limit, cancelled: cancelled(), finished: one.matcher?.finished });
          one.pending = [id];
          const others = sampled.alternatives.map((other) => ({ ...other, text: tokenText(other.id, tokenizer) }));
          yield { type: 'token', index: one.index, text: takeText(one, finishReason !== null, sampling.stop), id, logprob, entropy, alternatives: others };
          if (finishReason) {
            cache.close(one.sequence);
            yield { type: 'completion', index: one.index, text: one.text, ids: one.ids.slice(known.length), logprobs: one.logprobs, finishReason };
          } else {
            still.push(one);
          }
        }
        live = still;
        forced = undefined;
        await new Promise(setImmediate); // lets a cancel come in
      }
    } finally {
      cache.free();
    }
  }
}

/** Prompts that come more than once, without their last token: read once, into keys and values that all their completions continue. */
function repeatedPrompts(prompts: number[][]): Map<string, number[]> {
  const once = new Set<string>(), repeated = new Map<string, number[]>();
  for (const prompt of prompts) {
    const key = prompt.join();
    if (once.has(key) && prompt.length > 1) repeated.set(key, prompt.slice(0, -1));
    once.add(key);
  }
  return repeated;
}

/** Past what was drawn for the tokens that are known: what follows is what would have followed had another token been drawn last. */
function randomAfter(seed: number, draws: number): () => number {
  const { next } = createRandom(seed);
  for (let i = 0; i < draws; i++) next();
  return next;
}

function startedWith(constraint: CompiledConstraint, ids: number[]): Matcher {
  const matcher = constraint.start();
  for (const id of ids) matcher.accept(id);
  return matcher;
}

/** What would break the promise that the answer is whole. */
function checkConstraint({ fewestTokens }: CompiledConstraint, prompts: number[][], { maxTokens }: Sampling, model: LanguageModel): void {
  const longest = prompts.reduce((most, prompt) => Math.max(most, prompt.length), 0);
  const left = Math.min(maxTokens, model.config.maxPositionEmbeddings - longest);
  if (fewestTokens > left) throw new Error(`what was asked for takes at least ${fewestTokens} tokens, and there is room for ${left}: raise the most tokens, or shorten the prompt`);
}

function checkPrompt(prompt: number[], model: LanguageModel): void {
  if (prompt.length === 0) throw new Error('the prompt has no tokens: give it some text');
  const limit = model.config.maxPositionEmbeddings;
  if (prompt.length >= limit) throw new Error(`the prompt has ${prompt.length} tokens, the model takes ${limit} in all: shorten the prompt`);
}
