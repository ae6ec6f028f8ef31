/**
 * Training as the algorithms do it, a whole optimiser step a timing: full SFT, LoRA and DPO at D, S, M; rows of true lengths; growth with T and batch.
 * share_of_peak counts true operations (6 a weight and token, 4 where weights are frozen, attention over the causal half), not work done twice.
 * DPO's pairs have a prompt of T/2 and two answers of T/2 tokens; tokens count as TRL counts them, the prompt twice.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dpo } from '../src/engine/algorithms/dpo.ts';
import { sft } from '../src/engine/algorithms/sft.ts';
import type { StepReport, Training } from '../src/engine/algorithms/training.ts';
import type { PreferenceSequences, Sequence } from '../src/engine/data/pack.ts';
import type { Device } from '../src/engine/device/device.ts';
import { createNativeDevice } from '../src/engine/device/native.ts';
import { createAdamW } from '../src/engine/optim/adamw.ts';
import { Lora, Optimizer } from '../src/shared/recipe.ts';
import { attentionFlops, createModel, loraWeights, matmulWeights, type Size, sizes } from './configs.ts';
import { alternate, type Bench, peakRss } from './measure.ts';

export type Method = 'sft' | 'lora' | 'dpo';
export const LORA_RANK = 8;

/** A model under training; `step` is one optimiser step. Steps go on for ever. */
export type Trainer = { step(): Promise<StepReport>; free(): void; device: Device };

/** `rows`: lengths of a step's rows, all tokens with loss; else B rows of T. */
export async function createTrainer(device: Device, method: Method, size: Size, lengths?: { prompt: number; answer: number }[]): Promise<Trainer> {
  const model = await createModel(device, size, method === 'lora' ? { trainable: 'lora', lora: Lora.parse({ r: LORA_RANK }) } : { trainable: 'all' });
  const settings = Optimizer.parse({ lrSchedulerType: 'constant', warmupRatio: 0, weightDecay: 0.01 });
  const adamw = createAdamW(device, model.parameters, settings);
  const training: Training = { model, adamw, settings, totalSteps: 1e6, startStep: 0, seed: 1 };
  const ids = (n: number, seed: number): Int32Array => {
    let x = seed * 7919 + 1;
    return Int32Array.from({ length: n }, () => ((x = (Math.imul(x, 1664525) + 1013904223) | 0) >>> 8) % size.V);
  };
  let reports: AsyncGenerator<StepReport, void, void>;
  if (method === 'dpo') {
    const pairs = lengths ?? Array.from({ length: size.B / 2 }, () => ({ prompt: size.T / 2, answer: size.T / 2 }));
    const train: PreferenceSequences[] = pairs.map(({ prompt, answer }, i) => ({ prompt: ids(prompt, i), chosen: ids(answer, i + 1000), rejected: ids(answer, i + 2000) }));
    const plan = [Int32Array.from(train.keys())];
    const trainReference = new Float64Array(2 * train.length).fill(-5 * size.T);
    const data = { train, trainReference, steps: new Array<typeof plan>(1e6).fill(plan), validation: [], validationReference: new Float64Array(0), evalSteps: 0, evalBatchSize: 1 };
    reports = dpo(training, data, { beta: 0.1, lossType: 'sigmoid', labelSmoothing: 0 });
  } else {
    const rows = lengths ?? Array.from({ length: size.B }, () => ({ prompt: 1, answer: size.T }));
    const train: Sequence[] = rows.map(({ prompt, answer }, i) => {
      const n = prompt === 1 ? answer : prompt + answer;
      return { tokens: ids(n, i), loss: new Uint8Array(n).fill(1, prompt === 1 ? 0 : prompt) };
    });
    const plan = [Int32Array.from(train.keys())];
    reports = sft(training, { train, steps: new Array<typeof plan>(1e6).fill(plan), validation: [], evalSteps: 0, evalTokens: size.T });
  }
  return {
    device,
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

/** True operations of a step of B rows of T (DPO: of B/2 pairs whose prompt is computed once). */
export function stepFlops(method: Method, size: Size): number {
  const { T, B } = size;
  const head = size.V * size.C, layers = matmulWeights(size) - head;
  if (method === 'sft') return T * B * (6 * matmulWeights(size) + 3 * attentionFlops(size, T));
  if (method === 'lora') return T * B * (4 * matmulWeights(size) + 6 * loraWeights(size, LORA_RANK) + 3 * attentionFlops(size, T));
  const half = T / 2; // answers: their tokens see half + half/2 keys on average, the prompt's half/2
  const attention = 2 * size.C * size.L * (half * half + 2 * half * (2 * half + half));
  return (B / 2) * (3 * half * 6 * layers + 2 * half * 6 * head + 3 * attention);
}

export async function benchTrain(bench: Bench, only: string): Promise<void> {
  for (const [name, size] of Object.entries(sizes)) {
    for (const method of ['sft', 'lora', 'dpo'] as const) {
      const label = `train.${method}.${name}`;
      if (label.includes(only)) await measure(bench, label, method, size);
    }
  }
  for (const [T, B] of [[128, 16], [256, 8], [512, 4], [1024, 2], [2048, 1]]) {
    const label = `train.sft.S_T${T}`;
    if (label.includes(only)) await measure(bench, label, 'sft', { ...sizes.S, T, B });
  }
  for (const B of [1, 2, 4, 16]) {
    const label = `train.sft.S_B${B}`;
    if (label.includes(only)) await measure(bench, label, 'sft', { ...sizes.S, B });
  }
  const rows = realLengths();
  if (!rows || !'train.sft.real'.includes(only)) return;
  // Rows of true lengths, packed, against the same rows padded to the longest.
  const device = createNativeDevice(bench.options.threads);
  const longest = Math.max(...rows.map(({ prompt, answer }) => prompt + answer));
  const packed = await createTrainer(device, 'sft', sizes.S, rows);
  const padded = await createTrainer(device, 'sft', { ...sizes.S, T: longest, B: rows.length });
  const [a, b] = await alternate(bench.clock, [() => void0(packed.step()), () => void0(padded.step())], { least: 5, seconds: 1 });
  bench.report('train.sft.real.rows_per_s', rows.length / a, 'rows/s');
  bench.report('train.sft.real.vs_padded', b / a, '×');
  packed.free();
  padded.free();
}

async function measure(bench: Bench, label: string, method: Method, size: Size): Promise<void> {
  const device = createNativeDevice(bench.options.threads);
  const trainer = await createTrainer(device, method, size);
  const peaks: number[] = [];
  const [seconds] = await alternate(bench.clock, [() => void0(trainer.step())], { least: bench.options.quick ? 3 : 5, seconds: 1, warm: 2 });
  peaks.push(bench.peak());
  bench.report(`${label}.tokens_per_s`, (size.T * size.B) / seconds, 'tokens/s');
  bench.report(`${label}.share_of_peak`, stepFlops(method, size) / seconds / peaks[0], '');
  bench.report(`${label}.tensor_bytes`, device.memory().peakBytes, 'bytes');
  bench.report(`${label}.peak_bytes`, peakRss(), 'bytes'); // of the process so far: take it from a run with --only
  trainer.free();
}

const void0 = async (promise: Promise<unknown>): Promise<void> => void (await promise);

/** Prompt and answer lengths of the first rows of real instruction data, in tokens at four characters each. */
function realLengths(): { prompt: number; answer: number }[] | null {
  const path = new URL('../../shared/assets/datasets/llama-factory/alpaca_en_demo.json', import.meta.url);
  const found = existsSync(path) ? path : new URL('../resources/datasets/instructions.train.jsonl', import.meta.url);
  const text = readFileSync(found, 'utf8');
  const rows = (found === path ? JSON.parse(text) : text.trim().split('\n').map((line) => JSON.parse(line) as unknown)) as { instruction: string; input?: string; output: string }[];
  return rows.slice(0, 16).map(({ instruction, input, output }) => ({
    prompt: Math.max(8, Math.ceil((instruction.length + (input ?? '').length) / 4) + 8),
    answer: Math.max(4, Math.ceil(output.length / 4)),
  }));
}
