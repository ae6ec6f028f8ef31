/**
 * Reading a prompt, decoding 1, 8 and 32 sequences, and eight samples of one prompt, at S and M with every kind of weight: tokens/s, and the bytes of
 * weights and cache that a step must read, over the read bandwidth measured in the same run. The work itself is in decoder.ts. A device that is not the
 * native one decodes at a tiny size and at Llama-3.2-1B's as well, as its budget allows.
 */
import { createModel, deviceSizes, matmulWeights, type Size, sizes, storageKinds, storages } from './configs.ts';
import { createDecode, createPrefill, createSamples, PROMPT, SAMPLE_STEPS, type Work } from './decoder.ts';
import { type Bench, timed } from './measure.ts';

/** Tokens a sequence has before it is decoded, and gets in one timing. */
const BEFORE = 64, STEPS = 8;

export async function benchSample(bench: Bench, only: string): Promise<void> {
  const prompt = bench.options.toy ? 8 : PROMPT;
  const { D: _, ...onDevice } = deviceSizes;
  for (const [name, size] of Object.entries(bench.options.device === 'native' ? { S: sizes.S, M: sizes.M } : onDevice)) {
    for (const storage of storageKinds) {
      if (size.frozen && storage !== size.frozen) continue;
      const of = (what: string) => `sample.${what}.${name}.${storage}`;
      const wanted = Object.entries({ prefill: prompt, decode: STEPS, decode8: 8 * STEPS, decode32: 32 * STEPS, nsamples8: 8 * SAMPLE_STEPS })
        .filter(([what, tokens]) => of(what).includes(only) && bench.affords(of(what), 2 * tokens * matmulWeights(size)));
      if (wanted.length === 0) continue;
      await bench.attempt(of('decode'), async () => {
        const model = await createModel(bench.open(), size, { trainable: 'none', storage });
        /** The bytes that could have been read while `work` ran, when it is asked for. */
        const measure = async (what: string, create: () => Work | Promise<Work>): Promise<number | undefined> => {
          const tokens = wanted.find(([name]) => name === what)?.[1];
          if (!tokens) return undefined;
          const work = await create();
          const { seconds, possible } = await timed(bench.clock, bench.bandwidth, () => work.run(), { most: 25, seconds: 1 });
          work.free();
          bench.report(`${of(what)}.tokens_per_s`, tokens / seconds, 'tokens/s');
          return possible;
        };
        await measure('prefill', () => createPrefill(model, prompt));
        for (const batch of [1, 8, 32]) {
          const what = `decode${batch === 1 ? '' : batch}`;
          const possible = await measure(what, () => createDecode(model, batch, BEFORE, STEPS));
          const bytes = STEPS * (matmulWeights(size) * storages[storage] + batch * cacheBytes(size, BEFORE + STEPS / 2));
          if (possible) bench.report(`${of(what)}.share_of_bandwidth`, bytes / possible, '');
        }
        await measure('nsamples8', () => createSamples(model, 8, prompt, SAMPLE_STEPS));
        model.free();
      });
    }
  }
}

const cacheBytes = ({ C, H, K, L }: Size, tokens: number): number => 2 * tokens * L * (C / H) * K * 4;
