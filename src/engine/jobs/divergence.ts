/**
 * The `divergence` job: KL(model ‖ reference). The model answers prompts at temperature 1; at every token of its answers the two models'
 * distributions over the whole vocabulary are compared, so that only which answers were sampled is left to chance. Both models are in memory.
 */
import type { DivergenceJob } from '../../shared/job.ts';
import type { DivergenceResult } from '../../shared/job-results.ts';
import { Sampling } from '../../shared/sampling.ts';
import { packSequences, type Sequence } from '../data/pack.ts';
import type { Device } from '../device/device.ts';
import type { LanguageModel } from '../model/language-model.ts';
import { openModel } from '../open-model.ts';
import { generate } from '../sampling/generate.ts';
import { loadTokenizer } from '../tokenizer/tokenizer.ts';
import { promptTokens } from './sample.ts';

/** Prompts answered together. */
const BATCH = 32;

export async function divergence(job: DivergenceJob, device: Device, count: (done: number, total: number) => void): Promise<DivergenceResult> {
  const tokenizer = await loadTokenizer(job.model.folder);
  const open = async (path: DivergenceJob['model']): Promise<LanguageModel> => (await openModel(device, path, tokenizer, { storage: 'bf16-if-stored', trainable: 'none' })).model;
  const [model, reference] = [await open(job.model), await open(job.reference)];
  const prompts = job.prompts.map((prompt) => promptTokens(prompt, job.template, tokenizer));
  const sampling = Sampling.parse({ temperature: 1, maxTokens: job.maxTokens, seed: job.seed });
  let [sum, squares, tokens, done] = [0, 0, 0, 0];
  for await (const event of generate(model, tokenizer, prompts, sampling, { batchSize: BATCH, cancelled: () => false })) {
    if (event.type !== 'completion') continue;
    const kl = await answerKl(model, reference, prompts[event.index], event.ids);
    sum += kl;
    squares += kl * kl;
    tokens += event.ids.length;
    count(++done, prompts.length);
  }
  for (const one of [model, reference]) one.free();
  const mean = sum / done;
  const variance = done > 1 ? Math.max(0, squares - done * mean * mean) / (done - 1) : 0;
  return { kl: mean, standardError: Math.sqrt(variance / done), answers: done, tokens };
}

/** Σ over the answer's tokens of Σᵥ p(v) (log p(v) − log q(v)), nats. */
async function answerKl(model: LanguageModel, reference: LanguageModel, prompt: number[], answer: number[]): Promise<number> {
  const tokens = Int32Array.from([...prompt, ...answer]);
  const sequence: Sequence = { tokens, loss: Uint8Array.from(tokens, (_, i) => (i >= prompt.length ? 1 : 0)) };
  const batch = packSequences([sequence]);
  const p = await model.logits(batch);
  const q = await reference.logits(batch);
  const V = p.length / batch.rows.length;
  let kl = 0;
  for (let m = 0; m < batch.rows.length; m++) kl += rowKl(p.subarray(m * V, (m + 1) * V), q.subarray(m * V, (m + 1) * V));
  return kl;
}

/** KL of softmax(p) from softmax(q), in f64. */
export function rowKl(p: Float32Array, q: Float32Array): number {
  const [logP, logQ] = [logSumExp(p), logSumExp(q)];
  let kl = 0;
  for (let v = 0; v < p.length; v++) {
    const own = p[v] - logP;
    kl += Math.exp(own) * (own - (q[v] - logQ));
  }
  return kl;
}

function logSumExp(logits: Float32Array): number {
  let most = -Infinity;
  for (const value of logits) if (value > most) most = value;
  let sum = 0;
  for (const value of logits) sum += Math.exp(value - most);
  return most + Math.log(sum);
}
