/** Weights kept in Q8_0: how near a model stays to itself, on both devices, and what it is not for. */
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { createNativeDevice } from '../device/native.ts';
import { createReferenceDevice } from '../device/reference.ts';
import { openModelFolder } from '../formats/model-folder.ts';
import { argmax } from '../sampling/filters.ts';
import { loadTokenizer } from '../tokenizer/tokenizer.ts';
import { loadLanguageModel } from './language-model.ts';
import { packed, relativeError, tinyModel } from './testing.ts';

const embedded = fileURLToPath(new URL('../../../resources/models/attune-base', import.meta.url));
const TEXTS = [
  'The river runs from the mountains to the sea. Many towns were built beside it, because people need water to drink and to grow food.',
  'A good friend listens before she speaks. When you are sad she does not hurry you, and when you are happy she is happy with you.',
  'To make bread, mix flour, water, salt and yeast. Let the dough rest for an hour, then bake it in a hot oven until it is brown.',
  'The sun is a star. It is much larger than the earth, and its light takes about eight minutes to reach us.',
];

describe('a model in q8_0', () => {
  test('names the same likeliest token as in f32 almost everywhere, and is near it in every logit', async () => {
    const tokenizer = await loadTokenizer(embedded);
    const batch = packed(TEXTS.map((text) => tokenizer.encode(text)));
    const logits = await Promise.all((['f32', 'q8_0'] as const).map(async (storage) => {
      const folder = await openModelFolder(embedded);
      const model = await loadLanguageModel(createNativeDevice(2), folder, { storage, trainable: 'none' });
      await folder.close();
      const all = await model.logits(batch);
      model.free();
      return all;
    }));
    const V = tokenizer.vocabSize, M = batch.rows.length;
    let same = 0, square = 0, size = 0;
    for (let m = 0; m < M; m++) {
      const [exact, rounded] = logits.map((all) => all.subarray(m * V, (m + 1) * V));
      if (argmax(exact) === argmax(rounded)) same++;
      for (let v = 0; v < V; v++) {
        square += (exact[v] - rounded[v]) ** 2;
        size += exact[v] ** 2;
      }
    }
    // 135 of 136, and an error of 1.2 %, when this was written
    expect(same / M).toBeGreaterThan(0.97);
    expect(Math.sqrt(square / size)).toBeLessThan(0.02);
  });

  test('decodes on the native device as on the reference', async () => {
    const [native, reference] = await Promise.all([createNativeDevice(2), createReferenceDevice()].map(async (device) => {
      const model = await tinyModel(device, { storage: 'q8_0', trainable: 'none' });
      const cache = model.createCache(16);
      const [a, b] = [cache.open(8), cache.open(8)];
      await model.decode(cache, [{ sequence: a, tokens: [3, 1, 4] }]);
      return model.decode(cache, [{ sequence: a, tokens: [1] }, { sequence: b, tokens: [5, 9, 2] }]);
    }));
    // f32 against f64 sums, which may put an activation on the other side of a rounding: one step of a block's 254
    expect(relativeError(native, reference)).toBeLessThan(0.01);
  });

  test('is for frozen weights', async () => {
    await expect(tinyModel(createReferenceDevice(), { storage: 'q8_0', trainable: 'all' })).rejects.toThrow(/storage q8_0 is for frozen weights/);
  });
});
