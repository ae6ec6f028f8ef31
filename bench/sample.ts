/**
 * Reading a prompt and decoding, at S and M, f32, bf16 and q8_0 weights: tokens/s, and the bytes of weights and cache a step must read, over the
 * read bandwidth measured in the same run. No sampler and no text here: the model's own speed.
 */
import { createNativeDevice } from '../src/engine/device/native.ts';
import type { LanguageModel } from '../src/engine/model/language-model.ts';
import { createModel, matmulWeights, type Size, sizes } from './configs.ts';
import { alternate, type Bench } from './measure.ts';

const PROMPT = 512;
/** Bytes a weight takes; q8_0 takes 34 for 32. */
const storages = { f32: 4, bf16: 2, q8_0: 34 / 32 } as const;

export async function benchSample(bench: Bench, only: string): Promise<void> {
  for (const [name, size] of Object.entries({ S: sizes.S, M: sizes.M })) {
    for (const storage of Object.keys(storages) as (keyof typeof storages)[]) {
      const of = (what: string) => `sample.${what}.${name}.${storage}`;
      if (![of('prefill'), of('decode'), of('decode8'), of('decode32'), of('nsamples8')].some((label) => label.includes(only))) continue;
      const device = createNativeDevice(bench.options.threads);
      const model = await createModel(device, size, { trainable: 'none', storage });
      if (of('prefill').includes(only)) bench.report(`${of('prefill')}.tokens_per_s`, PROMPT / await prefill(bench, model), 'tokens/s');
      for (const batch of [1, 8, 32]) {
        const label = of(`decode${batch === 1 ? '' : batch}`);
        if (!label.includes(only)) continue;
        const seconds = await decode(bench, model, batch, 64, false);
        bench.report(`${label}.tokens_per_s`, batch / seconds, 'tokens/s');
        const bytes = matmulWeights(size) * storages[storage] + batch * cacheBytes(size, 64);
        bench.report(`${label}.share_of_bandwidth`, bytes / seconds / bench.bandwidth(), '');
      }
      // Eight samples of one prompt, which is read once: tokens/s of prompt and answers together, 32 tokens each.
      if (of('nsamples8').includes(only)) {
        const seconds = await prefill(bench, model) + 32 * await decode(bench, model, 8, PROMPT, true);
        bench.report(`${of('nsamples8')}.tokens_per_s`, (8 * 32) / seconds, 'tokens/s');
      }
      model.free();
    }
  }
}

const cacheBytes = ({ C, H, K, L }: Size, tokens: number): number => 2 * tokens * L * (C / H) * K * 4;

async function prefill(bench: Bench, model: LanguageModel): Promise<number> {
  const tokens = Int32Array.from({ length: PROMPT }, (_, i) => (i * 7919) % model.config.vocabSize);
  const cache = model.createCache(PROMPT);
  const [seconds] = await alternate(bench.clock, [async () => {
    const sequence = cache.open(PROMPT);
    await model.decode(cache, [{ sequence, tokens }]);
    cache.close(sequence);
  }], { seconds: 0.5 });
  cache.free();
  return seconds;
}

/** Seconds a step of `batch` sequences, each after `before` tokens: of its own, or of one prefix that all share. */
async function decode(bench: Bench, model: LanguageModel, batch: number, before: number, shared: boolean): Promise<number> {
  const steps = 8, room = 16 * steps;
  const cache = model.createCache((shared ? before : 0) + batch * (before + room));
  const prompt = Int32Array.from({ length: before }, (_, i) => i);
  const prefix = shared ? cache.open(before) : undefined;
  if (prefix) await model.decode(cache, [{ sequence: prefix, tokens: prompt }]);
  const sequences = Array.from({ length: batch }, () => cache.open(before + room, prefix));
  if (!prefix) await model.decode(cache, sequences.map((sequence) => ({ sequence, tokens: prompt })));
  const [seconds] = await alternate(bench.clock, [async () => {
    for (let i = 0; i < steps; i++) await model.decode(cache, sequences.map((sequence) => ({ sequence, tokens: [i] })));
  }], { least: 5, most: 15, seconds: 0.5 });
  for (const sequence of sequences) cache.close(sequence);
  if (prefix) cache.close(prefix);
  cache.free();
  return seconds / steps;
}
