/**
 * What a frozen reference says of a run's rows, computed before the first step and kept in the run's folder under a name that changes with the
 * rows, so that a resumed run reads the very numbers it started with.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { DpoRecipe, KtoRecipe } from '../../shared/recipe.ts';
import type { Training } from '../algorithms/training.ts';
import type { LanguageModel } from '../model/language-model.ts';
import { openModel, trainedStorage } from '../open-model.ts';
import type { MethodContext } from './method.ts';

/** `compute` is asked for `count` numbers only where they are not kept yet; `texts` are the rows' ids, all of them. `rows`: what they are called. */
export async function keptReference(
  { job, device, tokenizer, emit }: MethodContext<DpoRecipe | KtoRecipe>,
  training: Training,
  { texts, count, rows }: { texts: Int32Array[]; count: number; rows: string },
  compute: (model: LanguageModel) => Promise<Float64Array>,
): Promise<Float64Array> {
  const path = join(job.folder, `reference-logprobs-${hashOf(texts)}.f64`);
  const kept = await readFile(path).catch(() => null);
  if (kept && kept.byteLength === count * 8) {
    return new Float64Array(kept.buffer.slice(kept.byteOffset, kept.byteOffset + kept.byteLength));
  }
  emit({ type: 'note', text: `computing reference log-probabilities of ${rows}, once` });
  let values: Float64Array;
  const named = job.recipe.referenceModel === undefined ? undefined : job.models[job.recipe.referenceModel];
  if (named || training.startStep > 0) {
    // the base is the policy's, quantised as that is; another model's is its own
    const storage = named ? 'bf16-if-stored' : trainedStorage(job.recipe);
    const { model } = await openModel(device, named ?? job.model, tokenizer, { storage, trainable: 'none' });
    values = await compute(model);
    model.free();
  } else {
    values = await compute(training.model);
  }
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.writing`, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  await rename(`${path}.writing`, path);
  return values;
}

function hashOf(texts: Int32Array[]): string {
  const hash = createHash('sha256');
  for (const text of texts) {
    hash.update(Int32Array.of(text.length));
    hash.update(text);
  }
  return hash.digest('hex').slice(0, 16);
}
