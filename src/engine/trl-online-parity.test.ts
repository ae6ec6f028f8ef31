/**
 * Eight-step runs of TRL's GRPOTrainer and RLOOTrainer on fixed answers and scores, repeated by our algorithms from the same weights: every metric
 * logged and the weights at the end. fixtures/trl holds them; fixtures/README.md tells what TRL computes. Not here: sampling and rewards.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { GrpoRecipe, RlooRecipe } from '../shared/recipe.ts';
import { Optimizer } from '../shared/recipe.ts';
import type { OnlineData } from './algorithms/experience.ts';
import { grpo } from './algorithms/grpo.ts';
import { rloo } from './algorithms/rloo.ts';
import { createNativeDevice } from './device/native.ts';
import { openModelFolder } from './formats/model-folder.ts';
import { loadLanguageModel } from './model/language-model.ts';
import { readParameter } from './model/parameters.ts';
import { relativeError } from './model/testing.ts';
import { createAdamW } from './optim/adamw.ts';

type Answer = { prompt_ids: number[]; completion_ids: number[]; score: number };
type Settings = Pick<GrpoRecipe, 'perDeviceTrainBatchSize' | 'numGenerations' | 'numIterations'> & { learningRate: number };
type Run = {
  recipe: ((GrpoRecipe & { method: 'grpo' }) | (RlooRecipe & { method: 'rloo' })) & Settings;
  batches: Answer[][];
  metrics: Record<string, number>[];
  weights: Record<string, { norm: number; stride: number; elements: number[] }>;
};

const fixture = (path: string) => fileURLToPath(new URL(`../../fixtures/${path}`, import.meta.url));
/** As in trl-parity.test.ts. */
const RELATIVE = 1e-4;
const ABSOLUTE = 1e-5;
const EOS = 2;

test.each(['grpo-dapo', 'grpo-kl', 'grpo-kl-plain', 'grpo-dr', 'grpo-bnpo', 'rloo', 'rloo-normalized'])('repeats the run %s', async (name) => {
  const run = JSON.parse(readFileSync(fixture(`trl/${name}/run.json`), 'utf8')) as Run;
  const { recipe, batches } = run;
  const device = createNativeDevice(2);
  const folder = await openModelFolder(fixture('models/llama'));
  const model = await loadLanguageModel(device, folder, { storage: 'f32', trainable: 'all' });
  const reference = await loadLanguageModel(device, folder, { storage: 'f32', trainable: 'none' });
  await folder.close();

  const { numGenerations: G, numIterations } = recipe;
  const prompts = batches.flatMap((batch) => batch.filter((_, i) => i % G === 0).map(({ prompt_ids }) => Int32Array.from(prompt_ids)));
  const perBatch = batches[0].length / G;
  const rowsOf = (batch: number) => Int32Array.from({ length: perBatch }, (_, i) => batch * perBatch + i);
  const totalSteps = run.metrics.length;
  const data: OnlineData = {
    prompts,
    steps: Array.from({ length: totalSteps }, (_, step) => [rowsOf(Math.floor(step / numIterations))]),
    numGenerations: G,
    batchSize: recipe.perDeviceTrainBatchSize,
    judge: async (step) => {
      const answers = batches[step / numIterations];
      const scores = Float64Array.from(answers, ({ score }) => score);
      const rows = rowsOf(step / numIterations);
      const rollouts = answers.map(({ completion_ids: ids }, i) => (
        { row: rows[Math.floor(i / G)], sample: i % G, ids: Int32Array.from(ids), text: '', finished: ids.at(-1) === EOS }
      ));
      return { rollouts, scores, rewards: { fixed: scores }, gold: null };
    },
    reference: recipe.beta > 0 ? { model: reference, adapter: true } : null,
    store: { read: async () => null, readScores: async () => null, write: async () => {} },
    watch: () => undefined,
    evaluate: null,
    evalSteps: 0,
  };
  const settings = Optimizer.parse({ learningRate: recipe.learningRate, warmupRatio: 0, adamBeta2: 0.98, weightDecay: 0.01 });
  const adamw = createAdamW(device, model.parameters, settings);
  const training = { model, adamw, settings, totalSteps, startStep: 0, seed: 1 };
  const reports = recipe.method === 'grpo' ? grpo(training, data, { ...recipe, klBudget: null }) : rloo(training, data, { ...recipe, klBudget: null });

  let numTokens = 0;
  for await (const { step, values, tokens } of reports) {
    numTokens += tokens;
    for (const [key, want] of Object.entries(run.metrics[step - 1])) {
      const got = key === 'num_tokens' ? numTokens : values[key];
      expect(got, `${key} of step ${step}`).toBeTypeOf('number');
      // means of micro-batches' means in TRL, over the step's tokens here
      if (recipe.gradientAccumulationSteps > 1 && /^(kl|entropy|clip_ratio\/\w+_mean)$/.test(key) && recipe.method === 'grpo') continue;
      if (recipe.gradientAccumulationSteps > 1 && key === 'entropy') continue;
      if (recipe.gradientAccumulationSteps > 1 && /clip_ratio\/(low_min|high_max)/.test(key)) continue;
      const allowed = Math.max(RELATIVE * Math.abs(want), ABSOLUTE);
      expect(Math.abs(got - want), `${key} of step ${step}: got ${got}, TRL logged ${want}`).toBeLessThanOrEqual(allowed);
    }
  }
  for (const parameter of model.parameters) {
    const got = await readParameter(model.device, parameter);
    const want = run.weights[parameter.name];
    expect(Math.abs(Math.hypot(...got) - want.norm), `norm of ${parameter.name}`).toBeLessThan(RELATIVE * want.norm);
    expect(relativeError(want.elements.map((_, i) => got[i * want.stride]), want.elements), `elements of ${parameter.name}`).toBeLessThan(RELATIVE);
  }
  model.free();
  reference.free();
});
