/**
 * The `plan` job: what a recipe would take, before it starts. Sampled rows go through the trainer's own tokenising and planning; bytes and
 * operations are cost.ts's formulas; speed is a short run of the kernels that training spends its time in. No weight is read.
 */
import { join } from 'node:path';
import type { Example } from '../../shared/dataset.ts';
import type { PlanJob, RowLengths } from '../../shared/job.ts';
import type { PlanResult } from '../../shared/job-results.ts';
import { isOnline, maxBatchTokens, modelsInMemory, rowsOfStep } from '../../shared/recipe.ts';
import { activationBytes, countParameters, rowFlops, rowSizes, type Shapes, stepFlops } from '../cost.ts';
import { microBatches, planSteps } from '../data/plan.ts';
import { readExamples } from '../data/read.ts';
import { tokenizeExample, tokenizePreference, tokenizeRanking, type TokenizeSettings, tokenizeText, tokenizeUnpaired } from '../data/tokenize.ts';
import { onlineCost, plannedPrompt } from '../rollouts/cost.ts';
import type { Device } from '../device/device.ts';
import { openModelFolder } from '../formats/model-folder.ts';
import { type ModelConfig, parseModelConfig } from '../model/config.ts';
import { unfused } from '../model/fused-experts.ts';
import { storedName } from '../model/parameters.ts';
import { onPolicyBase } from '../open-model.ts';
import { dropsTools } from '../tokenizer/template.ts';
import { loadTokenizer } from '../tokenizer/tokenizer.ts';

/** Tokenising ends after this, with the rows there are by then, ms. */
const TOKENISING_TIME = 700;
/** A classifier's labels are counted when it starts; here two stand for them, a few thousand weights at most. */
const PLANNED_LABELS = 2;
/** Rows over all epochs that are planned one by one; beyond that one epoch is, and multiplied. */
const PLANNED_ROWS = 500_000;
/**
 * Of the engine process beside its tensors: Node and the kernels' scratch, and what reading weights leaves in its heap where they are not used as they lie
 * in their file; what tokenising makes the heap grow by, a row and in all. Measured.
 */
const RUNTIME_BYTES = { read: 190e6, mapped: 145e6 };
const HEAP_GROWTH = { row: 10e3, most: 40e6 };
/** Of a tokenised row, beside five bytes a token. */
const ROW_BYTES = 600;
/** Training reaches this share of what its matrix products alone do: norms, attention, the optimiser and short batches take the rest. Measured. */
const KERNEL_SHARE = 0.6;

export async function plan(job: PlanJob, device: Device): Promise<PlanResult> {
  const { recipe } = job;
  const folder = await openModelFolder(job.model.folder, { weights: !(recipe.method === 'pretrain' && recipe.fromScratch) });
  await folder.close();
  const stored = parseModelConfig(folder.config, join(folder.folder, 'config.json'));
  const single = unfused(stored, folder);
  const dtypeOf = (name: string) => single.tensors.get(storedName(stored, single, name))?.dtype;
  const bf16 = [...folder.tensors.values()].some(({ dtype }) => dtype === 'BF16');
  const sample = 'rows' in job.sample ? { rows: job.sample.rows, sampled: job.sample.rows.length, cut: 0, leftOut: 0, longestRow: 0, dropsTools: false } : await tokenizeSample(job, job.sample.examples);
  const { rows } = sample;
  if (rows.length === 0) throw new Error(`none of the ${sample.sampled} sampled rows can be trained on: after the cut to maxLength (${recipe.maxLength} tokens) nothing of their answers remains`);
  const config = { ...stored, numLabels: recipe.method === 'reward' ? 1 : recipe.method === 'classify' ? PLANNED_LABELS : null };
  const headOnly = recipe.method === 'classify' && recipe.freezeTrunk;
  const shapes: Shapes = { config, lora: recipe.lora, headOnly, gradientCheckpointing: recipe.gradientCheckpointing, bf16, dtypeOf };
  const counted = countParameters(shapes);
  const trained = recipe.method === 'kto' ? rows.flatMap(unpairLengths) : rows;
  const validationRows = Math.round((job.validationRows * trained.length) / rows.length);
  const trainRows = Math.max(1, Math.round((job.trainRows * trained.length) / Math.max(1, rows.length + sample.leftOut)));
  const sizes = trained.map((each) => rowSizes(each));
  const mean = (of: (each: (typeof sizes)[number]) => number) => sizes.reduce((sum, each) => sum + of(each), 0) / sizes.length;

  const { steps, microBatchTokens: planned } = countSteps(job, trainRows, (i) => sizes[i % sizes.length].tokens);
  const online = isOnline(recipe) ? onlineCost(shapes, recipe, rows, { rows: steps.rows, evaluations: evaluationsOf(job, steps.count), onPolicyBase: (model) => standsOnPolicy(job, model) }) : null;
  const microBatchTokens = online?.microBatchTokens ?? planned;
  const sites = (microBatchTokens * mean((each) => each.sites)) / mean((each) => each.tokens);
  const rowsInAll = steps.rows;
  const tokens = rowsInAll * mean((each) => each.tokens);

  const meanRowFlops = trained.reduce((sum, each) => sum + stepFlops(recipe, shapes, each), 0) / trained.length;
  const meanForward = trained.reduce((sum, each) => sum + rowFlops(shapes, each, true), 0) / trained.length;
  const evaluations = evaluationsOf(job, steps.count);
  const withKl = recipe.method === 'kto' && recipe.lossType === 'kto';
  const featured = headOnly ? trainRows + validationRows : 0;
  const referred = recipe.method === 'dpo' || recipe.method === 'kto' ? trainRows + validationRows + (withKl ? rowsInAll + validationRows : 0) : 0;
  const flops = online?.flops ?? rowsInAll * meanRowFlops + ((withKl ? 2 : 1) * (headOnly ? 0 : evaluations * validationRows) + referred + featured) * meanForward;

  const held = modelsInMemory(recipe);
  return {
    parameters: counted.base + counted.adapter,
    activeParameters: config.mixture ? counted.active : null,
    trainableParameters: counted.trainable,
    rows,
    sampled: sample.sampled,
    cut: sample.cut,
    leftOut: sample.leftOut,
    longestRow: sample.longestRow,
    dropsTools: sample.dropsTools,
    tokensPerEpoch: Math.round(trainRows * mean((each) => each.tokens)),
    steps: steps.count,
    tokens: Math.round(tokens),
    models: { held: held.length, shared: held.slice(1).filter(({ model }) => standsOnPolicy(job, model)).length },
    memory: {
      weights: counted.bytes + (online?.besideBytes ?? 0),
      gradients: 4 * counted.trainable * (online?.trainedModels ?? 1),
      optimizer: 8 * counted.trainable * (online?.trainedModels ?? 1),
      activations: activationBytes(shapes, { tokens: microBatchTokens, sites, accumulated: recipe.gradientAccumulationSteps > 1 }) + (online?.cacheBytes ?? 0) + 4 * featured * config.hiddenSize,
      runtime: RUNTIME_BYTES[recipe.lora || headOnly ? 'mapped' : 'read'] + heapGrowth(trainRows + validationRows, mean((each) => each.tokens)),
    },
    deviceMemory: device.memoryBytes ?? null,
    flops,
    flopsPerSecond: job.measureSpeed ? measureKernels(device, config) : null,
  };
}

/** By the rule of methods/online.ts; undefined is the base. */
function standsOnPolicy({ recipe, model, models }: PlanJob, other: string | undefined): boolean {
  return onPolicyBase({ recipe, model }, other === undefined ? model : models[other]);
}

function evaluationsOf({ recipe, validationRows }: PlanJob, steps: number): number {
  return validationRows === 0 ? 0 : 1 + (recipe.evalSteps > 0 ? Math.floor((steps - 1) / recipe.evalSteps) : 0);
}

/** A pair under KTO: its answers are rows of their own. */
function unpairLengths(row: RowLengths): RowLengths[] {
  if (row.length === 2) return [row];
  const [prompt, ...answers] = row;
  return answers.map((answer) => [prompt + answer, answer]);
}

function heapGrowth(rows: number, meanTokens: number): number {
  return Math.min(HEAP_GROWTH.most, rows * HEAP_GROWTH.row) + rows * (ROW_BYTES + 5 * meanTokens);
}

type Sampled = { rows: RowLengths[]; sampled: number; cut: number; leftOut: number; longestRow: number; dropsTools: boolean };

/** In the order of the file, though read in eight passes over it, so that what is read before time is out is spread over all of it. */
async function tokenizeSample({ recipe, model }: PlanJob, path: string): Promise<Sampled> {
  const tokenizer = await loadTokenizer(model.folder);
  const settings: TokenizeSettings = {
    template: recipe.template, tokenizer, maxLength: Number.MAX_SAFE_INTEGER, completionOnlyLoss: recipe.method === 'sft' && recipe.completionOnlyLoss,
  };
  const examples: Example[] = [];
  for await (const example of readExamples(path)) examples.push(example);
  const until = performance.now() + TOKENISING_TIME;
  const found = new Array<RowLengths | null | undefined>(examples.length);
  const result: Sampled = { rows: [], sampled: 0, cut: 0, leftOut: 0, longestRow: 0, dropsTools: false };
  for (let pass = 0; pass < 8; pass++) {
    for (let i = pass; i < examples.length && performance.now() < until; i += 8) {
      const { row, whole } = isOnline(recipe) ? plannedPrompt(examples[i], settings, recipe) : measureRow(examples[i], settings, recipe);
      found[i] = row;
      result.sampled++;
      if (whole > recipe.maxLength) result.cut++;
      if (row === null) result.leftOut++;
      result.longestRow = Math.max(result.longestRow, whole);
    }
  }
  result.rows = found.filter((row) => row !== null && row !== undefined);
  result.dropsTools = examples.some((example) => 'tools' in example && example.tools !== undefined) && dropsTools(recipe.template, tokenizer);
  return result;
}

/** A row as trained, or null when nothing of its answer remains (data/prepare.ts), and its tokens before the cut. */
function measureRow(example: Example, settings: TokenizeSettings, recipe: PlanJob['recipe']): { row: RowLengths | null; whole: number } {
  const { maxLength } = recipe;
  try {
    if (recipe.method === 'reward') {
      if (example.kind !== 'preference' && example.kind !== 'ranking') return { row: null, whole: 0 };
      const { prompt, answers } = tokenizeRanking(example, settings);
      const whole = prompt.length + Math.max(...answers.map(({ length }) => length));
      return { row: whole <= maxLength ? [prompt.length, ...answers.map(({ length }) => length)] : null, whole };
    }
    if (example.kind === 'classification') {
      const { length } = tokenizeText(example.text, settings.tokenizer);
      return { row: length > 0 && length <= maxLength ? [length, 1] : null, whole: length };
    }
    if (example.kind === 'preference') {
      const { prompt, chosen, rejected } = tokenizePreference(example, settings);
      const whole = prompt.length + Math.max(chosen.length, rejected.length);
      const P = Math.min(prompt.length, maxLength);
      const row: RowLengths = [P, Math.min(chosen.length, maxLength - P), Math.min(rejected.length, maxLength - P)];
      return { row: row[1] > 0 && row[2] > 0 ? row : null, whole };
    }
    if (example.kind === 'unpaired') {
      const { prompt, completion } = tokenizeUnpaired(example, settings);
      const whole = prompt.length + completion.length;
      const length = Math.min(maxLength, whole);
      return { row: length > prompt.length ? [length, length - prompt.length] : null, whole };
    }
    const { tokens, loss } = tokenizeExample(example, settings);
    const sites = loss.subarray(1, maxLength).reduce((sum, marked) => sum + marked, 0);
    return { row: sites > 0 ? [Math.min(tokens.length, maxLength), sites] : null, whole: tokens.length };
  } catch {
    return { row: null, whole: 0 }; // the template refuses it
  }
}

/** By the trainer's own plan where that is quickly made. `epochs`: passes over the rows in all. */
function countSteps({ recipe }: PlanJob, trainRows: number, tokensOf: (row: number) => number) {
  const settings = { ...recipe, ...rowsOfStep(recipe), maxTokens: maxBatchTokens(recipe) };
  const planned = Math.min(trainRows, PLANNED_ROWS);
  const lengths = Int32Array.from({ length: planned }, (_, i) => tokensOf(i));
  const order = Int32Array.from({ length: planned }, (_, i) => i);
  const perEpoch = Math.ceil((microBatches(order, lengths, settings).length / settings.gradientAccumulationSteps) * settings.repeats * (trainRows / planned));
  const tokensIn = (batch: Int32Array) => batch.reduce((sum, i) => sum + lengths[i], 0);
  const epochs = recipe.maxSteps > 0 ? recipe.maxSteps / perEpoch : recipe.numTrainEpochs;
  if (trainRows * Math.max(1, epochs) <= PLANNED_ROWS) {
    const all = planSteps(lengths, settings);
    const batches = all.flat();
    return {
      steps: { count: all.length, epochs, rows: batches.reduce((sum, batch) => sum + batch.length, 0) },
      microBatchTokens: batches.reduce((most, batch) => Math.max(most, tokensIn(batch)), 0),
    };
  }
  const epoch = planSteps(lengths, { ...settings, maxSteps: 0, numTrainEpochs: 1 }).flat();
  return {
    steps: { count: recipe.maxSteps > 0 ? recipe.maxSteps : Math.ceil(perEpoch * epochs), epochs, rows: Math.round(trainRows * epochs) },
    microBatchTokens: epoch.reduce((most, batch) => Math.max(most, tokensIn(batch)), 0),
  };
}

/** FLOP/s of a layer's matrix products, forward and backward, at the model's widths, times the share of them that training reaches. */
function measureKernels(device: Device, { hiddenSize: C, intermediateSize, mixture }: ModelConfig): number {
  const F = mixture?.intermediateSize ?? intermediateSize;
  const N = 512, I = Math.min(C, 4096), O = Math.min(F, 4096);
  const [x, w, out, dx, dw] = [N * I, O * I, N * O, N * I, O * I].map((length) => device.alloc(length));
  const round = (): void => {
    device.linear(out, x, w, null, N, I, O, 1, 0);
    device.linearBackwardInput(dx, out, w, N, I, O, 1, 0);
    device.linearBackwardWeight(dw, out, x, N, I, O, 1, 0);
  };
  round(); // pages and caches are touched, threads are up
  const start = performance.now();
  const rounds: number[] = [];
  for (let now = start; now - start < 200; ) {
    round();
    rounds.push(performance.now() - now);
    now = performance.now();
  }
  const milliseconds = rounds.sort((a, b) => a - b)[rounds.length >> 2]; // the fastest quarter: what else the machine does just now is not its speed
  for (const tensor of [x, w, out, dx, dw]) device.free(tensor);
  return (KERNEL_SHARE * 6 * N * I * O) / (milliseconds / 1000);
}
