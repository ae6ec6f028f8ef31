/**
 * A model under training as the algorithms do it, one optimiser step at a time, and the operations a step truly takes. Not the timing (train.ts).
 * Drawn rows: SFT's carry loss on every token; DPO's pairs have a prompt of T/2 and two answers of T/2 tokens.
 */
import { dpo, referenceLogprobs } from '../src/engine/algorithms/dpo.ts';
import { sft } from '../src/engine/algorithms/sft.ts';
import type { StepReport, Training } from '../src/engine/algorithms/training.ts';
import type { PreferenceSequences, Sequence } from '../src/engine/data/pack.ts';
import type { Device } from '../src/engine/device/device.ts';
import { openModelFolder } from '../src/engine/formats/model-folder.ts';
import { type LanguageModel, loadLanguageModel } from '../src/engine/model/language-model.ts';
import { createAdamW } from '../src/engine/optim/adamw.ts';
import { Lora, Optimizer } from '../src/shared/recipe.ts';
import { attentionFlops, createModel, loraWeights, matmulWeights, type Size } from './configs.ts';
import { MODEL } from './rows.ts';

export type Method = 'sft' | 'lora' | 'dpo';
export const LORA_RANK = 8;

/** `step` is one optimiser step over the next `batch` rows, round and round for ever. */
export type Trainer = {
  step(): Promise<StepReport>;
  free(): void;
  device: Device;
  /** numbers that are trained */
  parameters: number;
  /** Computes DPO's reference log-probs of all rows once more, for its time; nothing in SFT. */
  reference(): Promise<void>;
};

/** Rows in their order, `batch` a step. DPO's reference log-probs are computed here, once, unless they are given. */
async function train(device: Device, model: LanguageModel, rows: Sequence[] | PreferenceSequences[], batch: number, reference?: Float64Array): Promise<Trainer> {
  const settings = Optimizer.parse({ learningRate: 1e-4, lrSchedulerType: 'constant', warmupRatio: 0, weightDecay: 0 });
  const adamw = createAdamW(device, model.parameters, settings);
  const training: Training = { model, adamw, settings, totalSteps: 1e5, startStep: 0, seed: 1 };
  const round = Array.from({ length: Math.ceil(rows.length / batch) }, (_, i) => [Int32Array.from({ length: Math.min(batch, rows.length - i * batch) }, (_row, j) => i * batch + j)]);
  const steps = Array.from({ length: training.totalSteps }, (_, i) => round[i % round.length]);
  let reports: AsyncGenerator<StepReport, void, void>;
  if (isPairs(rows)) {
    const trainReference = reference ?? (await referenceLogprobs(model, rows, batch));
    const data = { train: rows, trainReference, steps, validation: [], validationReference: new Float64Array(0), evalSteps: 0, evalBatchSize: 1 };
    reports = dpo(training, data, { beta: 0.1, lossType: ['sigmoid'], labelSmoothing: 0 });
  } else {
    reports = sft(training, { train: rows, steps, validation: [], evalSteps: 0, evalTokens: 1 });
  }
  return {
    device,
    parameters: model.parameters.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0),
    async reference() {
      if (isPairs(rows)) await referenceLogprobs(model, rows, batch);
    },
    async step() {
      const { value } = await reports.next();
      return value as StepReport;
    },
    free() {
      adamw.free();
      model.free();
    },
  };
}

const isPairs = (rows: Sequence[] | PreferenceSequences[]): rows is PreferenceSequences[] => 'chosen' in rows[0];

/** A model of this size with drawn weights on B drawn rows of T tokens, all of them every step. */
export async function createTrainer(device: Device, method: Method, size: Size): Promise<Trainer> {
  const model = await createModel(device, size, method === 'lora' ? { trainable: 'lora', lora: Lora.parse({ r: LORA_RANK }), storage: size.frozen ?? 'f32' } : { trainable: 'all' });
  const ids = (n: number, seed: number): Int32Array => {
    let x = seed * 7919 + 1;
    return Int32Array.from({ length: n }, () => ((x = (Math.imul(x, 1664525) + 1013904223) | 0) >>> 8) % size.V);
  };
  if (method === 'dpo') {
    const half = size.T / 2;
    const pairs = Array.from({ length: size.B / 2 }, (_, i) => ({ prompt: ids(half, i), chosen: ids(half, i + 1000), rejected: ids(half, i + 2000) }));
    return train(device, model, pairs, pairs.length, new Float64Array(2 * pairs.length).fill(-5 * size.T));
  }
  const rows = Array.from({ length: size.B }, (_, i) => ({ tokens: ids(size.T, i), loss: new Uint8Array(size.T).fill(1) }));
  return train(device, model, rows, rows.length);
}

/** The embedded model, f32, on real rows, `batch` of them a step. */
export async function createRealTrainer(device: Device, rows: Sequence[] | PreferenceSequences[], batch: number): Promise<Trainer> {
  const folder = await openModelFolder(MODEL);
  const model = await loadLanguageModel(device, folder, { storage: 'f32', trainable: 'all' });
  await folder.close();
  return train(device, model, rows, batch);
}

/** True operations of a step of createTrainer: 6 a weight and token, 4 where weights are frozen, attention over the causal half; a pair's prompt once. */
export function stepFlops(method: Method, size: Size): number {
  const { T, B } = size;
  const head = size.V * size.C, layers = matmulWeights(size) - head;
  if (method === 'sft') return T * B * (6 * matmulWeights(size) + 3 * attentionFlops(size, T));
  if (method === 'lora') return T * B * (4 * matmulWeights(size) + 6 * loraWeights(size, LORA_RANK) + 3 * attentionFlops(size, T));
  const half = T / 2; // answers: their tokens see half + half/2 keys on average, the prompt's half/2
  const attention = 2 * size.C * size.L * (half * half + 2 * half * (2 * half + half));
  return (B / 2) * (3 * half * 6 * layers + 2 * half * 6 * head + 3 * attention);
}
