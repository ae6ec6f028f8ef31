/** What conformance.test.ts cannot see of the TensorFlow.js device: that no tensor stays behind, whatever is computed. */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type * as TF from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { type SftRecipe, Recipe } from '../../../shared/recipe.ts';
import { sft } from '../../algorithms/sft.ts';
import { openModelFolder } from '../../formats/model-folder.ts';
import { loadLanguageModel } from '../../model/language-model.ts';
import { createAdamW } from '../../optim/adamw.ts';
import { createTfjsDevice } from './tfjs.ts';

const tf = createRequire(import.meta.url)('@tensorflow/tfjs-core') as typeof TF;
const STEPS = 100;

test('a hundred steps of training leave no tensor behind, and a freed model none at all', async () => {
  const device = await createTfjsDevice('tfjs-cpu');
  const before = tf.memory().numTensors;
  const folder = await openModelFolder(fileURLToPath(new URL('../../../../fixtures/models/llama', import.meta.url)));
  const model = await loadLanguageModel(device, folder, { storage: 'f32', trainable: 'all' });
  await folder.close();
  const recipe = Recipe.parse({ method: 'sft', model: 'tiny', dataset: 'rows' }) as SftRecipe;
  const adamw = createAdamW(device, model.parameters, recipe.optimizer);
  const train = [{ tokens: Int32Array.of(1, 5, 9, 7), loss: Uint8Array.of(0, 0, 1, 1) }, { tokens: Int32Array.of(1, 3, 2), loss: Uint8Array.of(0, 1, 1) }];
  const steps = Array.from({ length: STEPS }, () => [Int32Array.of(0, 1)]);
  const counts: number[] = [];
  const state = { model, adamw, settings: recipe.optimizer, totalSteps: STEPS, startStep: 0, seed: 1 };
  for await (const _ of sft(state, { train, steps, validation: [], evalSteps: 0, evalTokens: 0 })) counts.push(tf.memory().numTensors);
  expect(counts).toHaveLength(STEPS);
  // windows onto tensors move with what the pool hands out in the first steps; from then on every step ends as the one before
  expect(new Set(counts.slice(5))).toEqual(new Set([counts[5]]));
  adamw.free();
  model.free();
  expect(tf.memory().numTensors).toBe(before);
});
