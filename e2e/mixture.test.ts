/**
 * A mixture of experts through the real engine process: drawn, then trained by SFT on every weight and by DPO with LoRA on all linears, experts among them,
 * in micro-batches; each run ends with the same bytes after a kill and with one thread. What it computes is held against transformers in
 * src/engine/model/families.parity.test.ts.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openSafetensors } from '../src/engine/formats/safetensors.ts';
import { createEngineRuns, type EngineRuns } from './resume.ts';

let runs: EngineRuns;
let start: string;
beforeAll(async () => {
  runs = createEngineRuns();
  await runs.drive('start', { method: 'pretrain', fromScratch: true, maxSteps: 4 }, runs.mixture);
  start = runs.newest('start');
});
afterAll(() => runs.remove());

it('is kept with a tensor for each expert, and a config that other tools read', async () => {
  const config = JSON.parse(readFileSync(join(start, 'config.json'), 'utf8')) as Record<string, unknown>;
  expect(config).toMatchObject({ model_type: 'qwen2_moe', num_experts: 6, num_experts_per_tok: 2 });
  const file = await openSafetensors(join(start, readdirSync(start).find((name) => name.endsWith('.safetensors') && name !== 'optimizer.safetensors')!));
  expect(file.tensors.get('model.layers.1.mlp.experts.5.down_proj.weight')!.shape).toEqual([32, 24]);
  expect(file.tensors.get('model.layers.0.mlp.shared_expert_gate.weight')!.shape).toEqual([1, 32]);
  await file.close();
});

it.each([
  ['sft', { method: 'sft', maxSteps: 8 }],
  ['dpo', { method: 'dpo', lora: { r: 2, loraDropout: 0.1, targetModules: ['all-linear'] }, maxSteps: 6 }],
])('ends bit-identical after a kill: %s', async (name, overrides) => {
  await runs.expectSameAfterKills(name, overrides, start, 1);
});
