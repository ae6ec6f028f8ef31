/**
 * Batched generation with a KV cache: prompts go in, tokens stream out as they are drawn, one decode call for all live sequences.
 * Each completion draws from its own generator, seeded by (seed, index), so what stands beside it in a batch never changes it; prompts that
 * are the same are read once.
 */
import type { FinishReason, Sampling } from '../../shared/sampling.ts';
import type { CacheSequence } from '../model/kv-cache.ts';
import type { LanguageModel } from '../model/language-model.ts';
import { createRandom } from '../random.ts';
import { createDecoder } from '../tokenizer/stream.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { type Alternative, sampleToken } from './sample.ts';

export type Completion = { index: number; text: string; ids: number[]; logprobs: number[]; finishReason: FinishReason };
/** `text` is what the token added: nothing while a character or a stop string may still be unfinished. All together are the completion's text. */
export type TokenEvent = { type: 'token'; index: number; text: string; id: number; logprob: number; alternatives: (Alternative & { text: string })[] };
export type GenerateEvent = TokenEvent | ({ type: 'completion' } & Completion);

type Live = {
  index: number;
  sequence: CacheSequence;
  /** tokens the cache has not seen yet: the prompt first, then one at a time */
  pending: number[];
  seen: number[];
  next: () => number;
  decoder: ReturnType<typeof createDecoder>;
  ids: number[];
  logprobs: number[];
  /** decoded so far; `emitted` characters of it have gone out, the rest could still turn into a stop string */
  text: string;
  emitted: number;
};

/**
 * Completes every prompt (token ids, at least one each). `cancelled` is read once a token. Yields every token as it comes, with as many
 * alternatives as asked for, and one completion a prompt.
 */
export async function* generate(
  model: LanguageModel,
  tokenizer: Tokenizer,
  prompts: number[][],
  sampling: Sampling,
  { batchSize, cancelled, alternatives = 0 }: { batchSize: number; cancelled: () => boolean; alternatives?: number },
): AsyncGenerator<GenerateEvent, void, void> {
  for (const prompt of prompts) checkPrompt(prompt, model);
  for (let start = 0; start < prompts.length; start += batchSize) {
    const group = prompts.slice(start, start + batchSize);
    const repeated = repeatedPrompts(group);
    const capacity = (prompt: number[]) =>
      Math.min(prompt.length + sampling.maxTokens, model.config.maxPositionEmbeddings) - (repeated.get(prompt.join())?.length ?? 0);
    const shared = [...repeated.values()].reduce((sum, tokens) => sum + tokens.length, 0);
    const cache = model.createCache(group.reduce((sum, prompt) => sum + capacity(prompt), shared));
    try {
      const prefixes = new Map<string, CacheSequence>();
      for (const [key, tokens] of repeated) {
        const sequence = cache.open(tokens.length);
        await model.decode(cache, [{ sequence, tokens }]);
        prefixes.set(key, sequence);
      }
      let live: Live[] = group.map((prompt, i) => ({
        index: start + i,
        sequence: cache.open(capacity(prompt), prefixes.get(prompt.join())),
        pending: prompt.slice(repeated.get(prompt.join())?.length ?? 0),
        seen: [...prompt],
        next: createRandom(sampling.seed * 1_000_003 + start + i).next,
        decoder: createDecoder(tokenizer),
        ids: [],
        logprobs: [],
        text: '',
        emitted: 0,
      }));
      while (live.length > 0) {
        const logits = await model.decode(cache, live.map(({ sequence, pending }) => ({ sequence, tokens: pending })));
        const V = logits.length / live.length;
        const still: Live[] = [];
        for (const [i, one] of live.entries()) {
          const sampled = sampleToken(logits.subarray(i * V, (i + 1) * V), one.seen, sampling, one.next, alternatives);
          const { id, logprob } = sampled;
          const finishReason = accept(one, id, logprob, tokenizer, sampling, model.config.maxPositionEmbeddings, cancelled());
          const settled = finishReason ? one.text.length : one.text.length - heldBack(one.text, sampling.stop);
          const others = sampled.alternatives.map((other) => ({ ...other, text: tokenText(other.id, tokenizer) }));
          yield { type: 'token', index: one.index, text: one.text.slice(one.emitted, settled), id, logprob, alternatives: others };
          one.emitted = Math.max(one.emitted, settled);
          if (finishReason) {
            cache.close(one.sequence);
            yield { type: 'completion', index: one.index, text: one.text, ids: one.ids, logprobs: one.logprobs, finishReason };
          } else {
            still.push(one);
          }
        }
        live = still;
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

/** Adds a drawn token to a completion; returns why it ends there, or null. The end-of-turn token and a stop string are not part of the text. */
function accept(
  one: Live,
  id: number,
  logprob: number,
  tokenizer: Tokenizer,
  sampling: Sampling,
  maxPositions: number,
  cancelled: boolean,
): FinishReason | null {
  one.ids.push(id);
  one.logprobs.push(logprob);
  one.seen.push(id);
  one.pending = [id];
  if (tokenizer.eosIds.includes(id)) {
    one.text += one.decoder.end();
    return 'eos';
  }
  one.text += one.decoder.push(id);
  const stop = firstStop(one.text, sampling.stop);
  if (stop >= 0) {
    one.text = one.text.slice(0, stop);
    return 'stop';
  }
  const full = one.ids.length >= sampling.maxTokens || one.seen.length >= maxPositions;
  if (!full && !cancelled) return null;
  one.text += one.decoder.end();
  return full ? 'length' : 'cancelled';
}

/** One token as people see it by itself; SentencePiece's decoder would drop the space before a word. */
function tokenText(id: number, tokenizer: Tokenizer): string {
  const text = tokenizer.decode([id]);
  return tokenizer.token(id).startsWith('▁') && !text.startsWith(' ') ? ` ${text}` : text;
}

function firstStop(text: string, stops: string[]): number {
  const found = stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
  return found.length > 0 ? Math.min(...found) : -1;
}

/** How many characters at the end of `text` might still grow into a stop string. */
function heldBack(text: string, stops: string[]): number {
  let held = 0;
  for (const stop of stops) {
    for (let n = Math.min(stop.length - 1, text.length); n > held; n--) if (text.endsWith(stop.slice(0, n))) held = n;
  }
  return held;
}

function checkPrompt(prompt: number[], model: LanguageModel): void {
  if (prompt.length === 0) throw new Error('the prompt has no tokens: give it some text');
  const limit = model.config.maxPositionEmbeddings;
  if (prompt.length >= limit) throw new Error(`the prompt has ${prompt.length} tokens, the model takes ${limit} in all: shorten the prompt`);
}
