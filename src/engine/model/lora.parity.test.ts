/**
 * LoRA against PEFT: TRL's SFTTrainer trained an adapter on fixtures/models/llama for ten steps (fixtures/trl/sft-lora). Here only the model,
 * the optimiser and the schedule are at work, from its initial adapter and its rows; the algorithms have tests of their own.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { SftRecipe } from '../../shared/recipe.ts';
import { createNativeDevice } from '../device/native.ts';
import { createReferenceDevice } from '../device/reference.ts';
import { openModelFolder } from '../formats/model-folder.ts';
import { readAdapter } from '../formats/peft.ts';
import { createAdamW } from '../optim/adamw.ts';
import { clipScale } from '../optim/clip.ts';
import { learningRateAt } from '../optim/schedule.ts';
import { loadLanguageModel } from './language-model.ts';
import { packed, relativeError } from './testing.ts';

const fixture = (path: string) => fileURLToPath(new URL(`../../../fixtures/${path}`, import.meta.url));

type Run = {
  recipe: unknown;
  rows: { input_ids: number[]; labels: number[] }[];
  steps: number[][][];
  metrics: { loss: number; grad_norm: number; learning_rate: number }[];
};

test.each([['reference', createReferenceDevice], ['native', () => createNativeDevice(2)]])('ten steps on the %s device end in the adapter of PEFT', async (_, createDevice) => {
  const run = JSON.parse(readFileSync(fixture('trl/sft-lora/run.json'), 'utf8')) as Run;
  const { optimizer } = SftRecipe.parse(run.recipe);
  const device = createDevice();
  const [initial, final] = [await readAdapter(fixture('trl/sft-lora/initial')), await readAdapter(fixture('trl/sft-lora/final'))];
  const folder = await openModelFolder(fixture('models/llama'));
  const model = await loadLanguageModel(device, folder, { storage: 'f32', trainable: 'lora', adapter: initial });
  await folder.close();
  const adamw = createAdamW(device, model.parameters, optimizer);

  for (const [step, [indices]] of run.steps.entries()) {
    const rows = indices!.map((i) => run.rows[i]!);
    const whole = packed(rows.map((row) => row.input_ids));
    // Of all next tokens, the ones whose label is not −100.
    const trained = rows.flatMap((row) => row.labels.slice(1).map((label) => label !== -100));
    const pick = (values: Int32Array) => values.filter((_value, m) => trained[m]);
    const batch = { ...whole, rows: pick(whole.rows), targets: pick(whole.targets), sequences: pick(whole.sequences) };
    const M = batch.rows.length;

    model.zeroGrad();
    const forward = await model.forward(batch, { gradient: true });
    model.backward(forward, new Float32Array(M).fill(-1 / M));
    const norm = await adamw.gradNorm();
    const learningRate = learningRateAt(step, run.steps.length, optimizer);
    adamw.step(learningRate, clipScale(norm, optimizer.maxGradNorm));

    const expected = run.metrics[step]!;
    expect(learningRate).toBeCloseTo(expected.learning_rate, 12);
    expect(Math.abs(-forward.logprobs.reduce((sum, x) => sum + x, 0) / M / expected.loss - 1), `loss of step ${step}`).toBeLessThan(1e-4);
    expect(Math.abs(norm / expected.grad_norm - 1), `gradient norm of step ${step}`).toBeLessThan(1e-4);
  }
  for (const { name, a, b } of model.adapterModules()) {
    const want = final.tensors.get(name)!;
    expect(relativeError(await a(), want.a), `${name} A`).toBeLessThan(1e-4);
    expect(relativeError(await b(), want.b), `${name} B`).toBeLessThan(1e-4);
  }
});
