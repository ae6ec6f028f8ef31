/**
 * Reading a prompt, decoding 1, 8 and 32 sequences, and eight samples of one prompt, at S and M with every kind of weight: tokens/s, and the bytes of
 * weights and cache that a step must read, over the read bandwidth measured in the same run. The work itself is in decoder.ts.
 */
import { createNativeDevice } from '../src/engine/device/native.ts';
import { createModel, matmulWeights, type Size, sizes, storageKinds, storages } from './configs.ts';
import { createDecode, createPrefill, createSamples, PROMPT, SAMPLE_STEPS, type Work } from './decoder.ts';
import { alternate, type Bench } from './measure.ts';

/** Tokens a sequence has before it is decoded, and gets in one timing. */
const BEFORE = 64, STEPS = 8;

export async function benchSample(bench: Bench, only: string): Promise<void> {
  const prompt = bench.options.toy ? 8 : PROMPT;
  for (const name of ['S', 'M']) {
    for (const storage of storageKinds) {
      const of = (what: string) => `sample.${what}.${name}.${storage}`;
      if (!['prefill', 'decode', 'decode8', 'decode32', 'nsamples8'].some((what) => of(what).includes(only))) continue;
      const model = await createModel(createNativeDevice(bench.options.threads), sizes[name], { trainable: 'none', storage });
      /** Seconds of `work`, when it is asked for. */
      const measure = async (what: string, tokens: number, create: () => Work | Promise<Work>): Promise<number | undefined> => {
        if (!of(what).includes(only)) return undefined;
        const work = await create();
        const [seconds] = await alternate(bench.clock, [() => work.run()], { most: 15, seconds: 0.5 });
        work.free();
        bench.report(`${of(what)}.tokens_per_s`, tokens / seconds, 'tokens/s');
        return seconds;
      };
      await measure('prefill', prompt, () => createPrefill(model, prompt));
      for (const batch of [1, 8, 32]) {
        const what = `decode${batch === 1 ? '' : batch}`;
        const seconds = await measure(what, batch * STEPS, () => createDecode(model, batch, BEFORE, STEPS));
        const bytes = STEPS * (matmulWeights(sizes[name]) * storages[storage] + batch * cacheBytes(sizes[name], BEFORE + STEPS / 2));
        if (seconds) bench.report(`${of(what)}.share_of_bandwidth`, bytes / seconds / bench.bandwidth(), '');
      }
      await measure('nsamples8', 8 * SAMPLE_STEPS, () => createSamples(model, 8, prompt, SAMPLE_STEPS));
      model.free();
    }
  }
}

const cacheBytes = ({ C, H, K, L }: Size, tokens: number): number => 2 * tokens * L * (C / H) * K * 4;
