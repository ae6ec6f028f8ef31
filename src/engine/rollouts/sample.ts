/**
 * Answers sampled from the model as it is: each prompt is computed once and continued by all its answers, all of a batch decoded together.
 * Each answer draws from a generator of its own, seeded by (seed, step, prompt, sample): a resumed run draws the same.
 * Not for people's prompts: no filters, no stop strings, nothing streamed (sampling/generate.ts).
 */
import type { CacheSequence, KvCache } from '../model/kv-cache.ts';
import type { LanguageModel } from '../model/language-model.ts';
import { createRandom, deriveSeed } from '../random.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { Rollout } from './rollout.ts';

export type RolloutSettings = { count: number; maxTokens: number; temperature: number; seed: number; step: number };

/** Answers decoded at once, in whole prompts. */
const BATCH = 128;

type Live = { index: number; row: number; sample: number; sequence: CacheSequence; ids: number[]; next: () => number };

/** `count` answers to each prompt, prompt by prompt. `row` names the prompt in the seed and in what comes back. */
export async function sampleRollouts(
  model: LanguageModel,
  tokenizer: Tokenizer,
  prompts: { row: number; tokens: Int32Array }[],
  settings: RolloutSettings,
): Promise<Rollout[]> {
  const rollouts: Rollout[] = [];
  const perBatch = Math.max(1, Math.floor(BATCH / settings.count));
  for (let start = 0; start < prompts.length; start += perBatch) {
    rollouts.push(...(await sampleBatch(model, tokenizer, prompts.slice(start, start + perBatch), settings)));
  }
  return rollouts;
}

/** Tokens of keys and values that the answers of one batch need. */
export function rolloutCacheTokens(promptTokens: number, prompts: number, { count, maxTokens }: Pick<RolloutSettings, 'count' | 'maxTokens'>): number {
  return Math.min(prompts, Math.max(1, Math.floor(BATCH / count))) * (promptTokens + count * maxTokens);
}

async function sampleBatch(
  model: LanguageModel,
  tokenizer: Tokenizer,
  prompts: { row: number; tokens: Int32Array }[],
  { count, maxTokens, temperature, seed, step }: RolloutSettings,
): Promise<Rollout[]> {
  const { maxPositionEmbeddings, vocabSize: V } = model.config;
  const room = (tokens: Int32Array) => Math.min(maxTokens, maxPositionEmbeddings - tokens.length);
  const cache: KvCache = model.createCache(prompts.reduce((sum, { tokens }) => sum + tokens.length + count * room(tokens), 0));
  const rollouts: Rollout[] = [];
  try {
    const prefixes = prompts.map(({ tokens }) => cache.open(tokens.length));
    const first = await model.decode(cache, prompts.map(({ tokens }, i) => ({ sequence: prefixes[i], tokens })));
    /** Whether the answer goes on. */
    const draw = ({ index, row, sample, ids, sequence, next }: Live, logits: Float32Array): boolean => {
      const id = drawToken(logits, temperature, next);
      ids.push(id);
      const finished = tokenizer.eosIds.includes(id);
      if (!finished && ids.length < sequence.capacity) return true;
      rollouts[index] = { row, sample, ids: Int32Array.from(ids), text: tokenizer.decode(finished ? ids.slice(0, -1) : ids), finished };
      cache.close(sequence);
      return false;
    };
    let live = prompts.flatMap(({ row, tokens }, i) =>
      Array.from({ length: count }, (_, sample): Live => {
        const { next } = createRandom(deriveSeed(seed, `rollout ${step} ${row} ${sample}`));
        return { index: i * count + sample, row, sample, sequence: cache.open(room(tokens), prefixes[i]), ids: [], next };
      }),
    );
    const promptOf = ({ index }: Live) => Math.floor(index / count);
    live = live.filter((one) => draw(one, first.subarray(promptOf(one) * V, (promptOf(one) + 1) * V)));
    while (live.length > 0) {
      const logits = await model.decode(cache, live.map(({ sequence, ids }) => ({ sequence, tokens: [ids.at(-1)!] })));
      live = live.filter((one, i) => draw(one, logits.subarray(i * V, (i + 1) * V)));
      await new Promise(setImmediate); // a stop reaches the process in between; it is obeyed at the step's end
    }
  } finally {
    cache.free();
  }
  return rollouts;
}

/** From softmax(logits / temperature), in the order of the ids: nothing is sorted. */
export function drawToken(logits: Float32Array, temperature: number, next: () => number): number {
  let top = -Infinity;
  for (const logit of logits) if (logit > top) top = logit;
  const weights = new Float64Array(logits.length);
  let total = 0;
  for (let id = 0; id < logits.length; id++) total += weights[id] = Math.exp((logits[id] - top) / temperature);
  let threshold = next() * total;
  let last = 0;
  for (let id = 0; id < logits.length; id++) {
    if (weights[id] === 0) continue;
    last = id;
    if ((threshold -= weights[id]) < 0) return id;
  }
  return last; // rounding left a crumb over
}
