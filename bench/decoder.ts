/**
 * What sampling makes a model do, one measurable piece at a time: reading a prompt, decoding some sequences, drawing several samples of one
 * prompt. No sampler and no text: the model's own speed. Not the timing (sample.ts, peers).
 */
import type { LanguageModel } from '../src/engine/model/language-model.ts';

/** Tokens of a prompt, and tokens of each of several samples of it. */
export const PROMPT = 512, SAMPLE_STEPS = 64;

/** `run` does the same work every time. */
export type Work = { run(): Promise<void>; free(): void };

/** Reads a prompt of `tokens` into an empty cache and gives the next token's logits. */
export function createPrefill(model: LanguageModel, tokens: number): Work {
  const cache = model.createCache(tokens);
  const prompt = drawn(model, tokens);
  return {
    async run() {
      const sequence = cache.open(tokens);
      await model.decode(cache, [{ sequence, tokens: prompt }]);
      cache.close(sequence);
    },
    free: () => cache.free(),
  };
}

/** Decodes `steps` tokens of each of `batch` sequences, which have `before` tokens of their own already. */
export async function createDecode(model: LanguageModel, batch: number, before: number, steps: number): Promise<Work> {
  const cache = model.createCache(batch * (before + steps));
  const prompt = drawn(model, before);
  const sequences = Array.from({ length: batch }, () => cache.open(before + steps));
  await model.decode(cache, sequences.map((sequence) => ({ sequence, tokens: prompt })));
  return {
    async run() {
      for (const sequence of sequences) sequence.length = before; // what the last run wrote is written over
      for (let i = 0; i < steps; i++) await model.decode(cache, sequences.map((sequence) => ({ sequence, tokens: [i] })));
    },
    free: () => cache.free(),
  };
}

/** Reads a prompt of `tokens` once and decodes `steps` tokens of each of `count` samples of it. */
export function createSamples(model: LanguageModel, count: number, tokens: number, steps: number): Work {
  const cache = model.createCache(tokens + count * steps);
  const prompt = drawn(model, tokens);
  return {
    async run() {
      const prefix = cache.open(tokens);
      await model.decode(cache, [{ sequence: prefix, tokens: prompt }]);
      const samples = Array.from({ length: count }, () => cache.open(steps, prefix));
      for (let i = 0; i < steps; i++) await model.decode(cache, samples.map((sequence) => ({ sequence, tokens: [i] })));
      for (const sequence of [...samples, prefix]) cache.close(sequence);
    },
    free: () => cache.free(),
  };
}

const drawn = (model: LanguageModel, tokens: number): Int32Array => Int32Array.from({ length: tokens }, (_, i) => (i * 7919) % model.config.vocabSize);
