/**
 * Direct preference optimisation: rows as pairs of answers to one prompt, and the frozen reference's log-probs of all of them,
 * computed once and kept in the run's folder, for algorithms/dpo.ts.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { DpoRecipe } from '../../shared/recipe.ts';
import { dpo, referenceLogprobs, type ReferenceLogprobs } from '../algorithms/dpo.ts';
import type { Training } from '../algorithms/training.ts';
import type { PreferenceSequences } from '../data/pack.ts';
import { preparePreferences } from '../data/prepare.ts';
import { openModel } from '../open-model.ts';
import { type MethodContext, type PreparedMethod, prepareSettings } from './method.ts';

export async function prepareDpo(context: MethodContext<DpoRecipe>): Promise<PreparedMethod> {
  const { recipe, ...job } = context.job;
  const settings = prepareSettings(context);
  const train = await preparePreferences(job.train, settings);
  const validation = job.validation ? await preparePreferences(job.validation, settings) : [];
  return {
    lengths: train.map(({ prompt, chosen, rejected }) => [prompt.length, chosen.length, rejected.length]),
    async start(training, steps) {
      const reference = await keptReference(context, training, [...train, ...validation]);
      const data = {
        train,
        trainReference: reference.subarray(0, train.length * 2),
        steps,
        validation,
        validationReference: reference.subarray(train.length * 2),
        evalSteps: recipe.evalSteps,
        evalBatchSize: recipe.perDeviceTrainBatchSize,
      };
      return dpo(training, data, recipe);
    },
  };
}

/**
 * Reference log-probs of all pairs, train then validation: computed before the first step and kept in the run's folder,
 * under a name that changes with the data, so that a resumed run reads the very numbers it started with.
 */
async function keptReference(
  { job, device, tokenizer, emit }: MethodContext<DpoRecipe>,
  training: Training,
  all: PreferenceSequences[],
): Promise<ReferenceLogprobs> {
  const batchSize = job.recipe.perDeviceTrainBatchSize;
  const path = join(job.folder, `reference-logprobs-${pairsHash(all)}.f64`);
  const kept = await readFile(path).catch(() => null);
  if (kept && kept.byteLength === all.length * 16) {
    return new Float64Array(kept.buffer.slice(kept.byteOffset, kept.byteOffset + kept.byteLength));
  }
  emit({ type: 'note', text: `computing reference log-probabilities of ${all.length} pairs, once` });
  let values: ReferenceLogprobs;
  const named = job.recipe.referenceModel === undefined ? undefined : job.models[job.recipe.referenceModel];
  if (named || training.startStep > 0) {
    const path = named ?? job.model;
    const { model } = await openModel(device, path, tokenizer, { storage: 'f32', trainable: 'none' });
    values = await referenceLogprobs(model, all, batchSize);
    model.free();
  } else {
    values = await referenceLogprobs(training.model, all, batchSize);
  }
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.writing`, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  await rename(`${path}.writing`, path);
  return values;
}

function pairsHash(pairs: PreferenceSequences[]): string {
  const hash = createHash('sha256');
  for (const { prompt, chosen, rejected } of pairs) {
    for (const part of [prompt, chosen, rejected]) {
      hash.update(Int32Array.of(part.length));
      hash.update(part);
    }
  }
  return hash.digest('hex').slice(0, 16);
}
