/** What a mixture of experts is estimated to take, and takes: SFT of 12.9 M parameters, 5.8 M of them active, by every weight and with LoRA on all linears. */
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { getRun } from '../../src/main/db/runs.ts';
import { createTestPlace, type TestPlace } from '../../src/main/runs/testing.ts';
import { Recipe } from '../../src/shared/recipe.ts';

const resources = fileURLToPath(new URL('../../resources', import.meta.url));
const base = join(resources, 'models', 'attune-base');
const MIXTURE = {
  architectures: ['Qwen2MoeForCausalLM'], model_type: 'qwen2_moe', hidden_size: 256, intermediate_size: 512, num_hidden_layers: 6, num_attention_heads: 4,
  num_key_value_heads: 2, head_dim: 64, num_experts: 8, num_experts_per_tok: 2, moe_intermediate_size: 256, shared_expert_intermediate_size: 256,
};

let place: TestPlace;
let data: { dataset: string; evalRatio: number; evalSamples: number };
let model: string;

async function train(recipe: Recipe) {
  const { id, name } = place.workbench.runs.start(recipe);
  await place.workbench.runs.ended(id);
  const run = getRun(place.workbench.library.db, id)!;
  expect(run.error).toBeNull();
  return { ...run, name };
}

beforeAll(async () => {
  place = createTestPlace();
  const folder = join(place.folder, 'mixture');
  mkdirSync(folder);
  for (const name of readdirSync(base)) if (name.startsWith('tokenizer') || name.startsWith('special')) cpSync(join(base, name), join(folder, name));
  const config = JSON.parse(readFileSync(join(base, 'config.json'), 'utf8')) as object;
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...config, ...MIXTURE }));
  const dataset = join(place.folder, 'instructions.jsonl');
  writeFileSync(dataset, readFileSync(join(resources, 'datasets', 'instructions.train.jsonl'), 'utf8').split('\n').slice(0, 300).join('\n'));
  data = { dataset, evalRatio: 0, evalSamples: 0 };
  model = (await train(Recipe.parse({ ...data, method: 'pretrain', fromScratch: true, model: folder, maxSteps: 1, perDeviceTrainBatchSize: 1, maxLength: 16 }))).name;
});
afterAll(() => place.remove());

test.each([
  ['every weight', {}],
  ['with gradient checkpointing', { gradientCheckpointing: true }],
  ['with LoRA on all linears', { lora: {} }],
  ['with LoRA and gradient checkpointing', { lora: {}, gradientCheckpointing: true }],
])('memory is within 0.85 to 1.15 of what the run takes: %s', async (name, more) => {
  const recipe = Recipe.parse({ ...data, method: 'sft', model, maxLength: 128, perDeviceTrainBatchSize: 32, maxSteps: 4, ...more });
  const { memory, parameters, activeParameters } = await place.workbench.estimator.estimate(recipe);
  const run = await train(recipe);
  const ratio = memory.total / run.peakMemoryBytes!;
  console.log(`${name}: ${(memory.total / 1e6).toFixed(0)} MB estimated, ${(run.peakMemoryBytes! / 1e6).toFixed(0)} MB taken (${ratio.toFixed(2)})`);
  expect(ratio).toBeGreaterThan(0.85);
  expect(ratio).toBeLessThan(1.15);
  expect(parameters).toBe(run.parameters);
  // 6 layers · 6 idle experts · 3 matrices, and what of an adapter of rank r is on them
  const idle = 6 * 6 * 3 * (256 * 256 + (recipe.lora ? recipe.lora.r * 512 : 0));
  expect(activeParameters).toBe(parameters - idle);
  // K is 2: the loss of routers that choose evenly
  expect(run.last.aux_loss).toBeGreaterThan(1.9);
  expect(run.last.aux_loss).toBeLessThan(2.5);
});
