/**
 * A real trained model (TinyStories-656K, llama family) from ../shared/assets, which is no part of the project: skipped where it is absent.
 * One folder keeps the tied embedding as lm_head.weight in F32, the other as model.embed_tokens.weight in BF16.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { createNativeDevice } from '../device/native.ts';
import { openModelFolder } from '../formats/model-folder.ts';
import { loadLanguageModel } from './language-model.ts';
import { packed, relativeError } from './testing.ts';

const assets = fileURLToPath(new URL('../../../../shared/assets/models', import.meta.url));

// transformers 5.18 on the BF16 folder: "<|start_story|> One day, a girl named" continued greedily ("Lily went for a walk in the park. …"),
// and the log-probs of it all in float64. The closest two logits of any step are 0.05 apart.
const prompt = [1, 80, 429, 1168];
const continuation = [303, 1444, 1808, 872, 163, 328, 881, 319, 1269, 776, 265, 1276, 1703, 1340, 521, 776, 265, 1276, 1703, 1243, 77, 1380, 1095, 689];
const expected = [
  -11.657206, -9.754345, -2.748669, -1.322747, -1.872665, -0.987798, -1.202989, -0.432747, -0.830537, -2.668835, -2.770857, -1.384848, -0.554299,
  -1.831653, -2.725938, -1.061731, -0.951253, -0.379781, -0.825272, -2.10238, -1.593291, -1.243688, -0.794061, -0.393961, -1.51492, -2.388768, -1.085826,
];

test.skipIf(!existsSync(assets)).each([
  ['TinyStories-656K-hf', 'f32'], ['TinyStories-656K-hf-bf16', 'f32'], ['TinyStories-656K-hf-bf16', 'bf16'],
] as const)('%s, kept in %s, scores and continues a story as transformers does', async (name, storage) => {
  const folder = await openModelFolder(`${assets}/${name}`);
  const model = await loadLanguageModel(createNativeDevice(2), folder, { storage, trainable: 'none' });
  await folder.close();
  expect(relativeError((await model.forward(packed([[...prompt, ...continuation]]))).logprobs, expected)).toBeLessThan(1e-4);

  const cache = model.createCache(64);
  const sequence = cache.open(64);
  const greedy: number[] = [];
  for (let tokens = prompt; greedy.length < continuation.length; tokens = [greedy.at(-1)!]) {
    const logits = await model.decode(cache, [{ sequence, tokens }]);
    greedy.push(logits.indexOf(Math.max(...logits)));
  }
  expect(greedy).toEqual(continuation);
});
