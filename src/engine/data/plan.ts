/**
 * Which rows go into which optimiser step, for a whole run, from the recipe and the rows' lengths alone.
 * A pure function of (seed, lengths, settings): resuming at step s needs no saved shuffle state, only s.
 */
import { createRandom, shuffle } from '../random.ts';

/** A step is its micro-batches; a micro-batch is row indices. */
export type StepPlan = Int32Array[];

export type PlanSettings = {
  seed: number;
  numTrainEpochs: number;
  /** 0: by epochs */
  maxSteps: number;
  gradientAccumulationSteps: number;
  /** rows per micro-batch … */
  perDeviceTrainBatchSize: number;
  /** … or tokens per micro-batch, when packing */
  maxTokens: number | null;
  /** steps in a row on the same rows; 1 where not given */
  repeats?: number;
};

export function planSteps(lengths: ArrayLike<number>, settings: PlanSettings): StepPlan[] {
  if (lengths.length === 0) throw new Error('the training split has no usable rows: nothing to train on');
  const steps: StepPlan[] = [];
  const wanted = settings.maxSteps > 0 ? settings.maxSteps : Infinity;
  for (let epoch = 0; steps.length < wanted; epoch++) {
    const share = settings.maxSteps > 0 ? 1 : Math.min(1, settings.numTrainEpochs - epoch);
    if (share <= 0) break;
    const order = shuffle(Int32Array.from({ length: lengths.length }, (_, i) => i), createRandom(settings.seed * 1_000_003 + epoch));
    const epochSteps = groupSteps(microBatches(order, lengths, settings), settings.gradientAccumulationSteps);
    const shared = epochSteps.slice(0, Math.ceil(epochSteps.length * share));
    steps.push(...shared.flatMap((step) => new Array<StepPlan>(settings.repeats ?? 1).fill(step)));
  }
  return steps.slice(0, wanted);
}

/** Rows in the order given, cut into micro-batches by row count or by token budget. A row over the budget is a batch of its own. */
export function microBatches(
  order: Int32Array,
  lengths: ArrayLike<number>,
  { perDeviceTrainBatchSize, maxTokens }: Pick<PlanSettings, 'perDeviceTrainBatchSize' | 'maxTokens'>,
): Int32Array[] {
  const batches: Int32Array[] = [];
  let start = 0;
  let tokens = 0;
  for (let i = 0; i < order.length; i++) {
    const length = lengths[order[i]];
    const full = maxTokens === null ? i - start === perDeviceTrainBatchSize : i > start && tokens + length > maxTokens;
    if (full) {
      batches.push(order.slice(start, i));
      start = i;
      tokens = 0;
    }
    tokens += length;
  }
  if (start < order.length) batches.push(order.slice(start));
  return batches;
}

function groupSteps(batches: Int32Array[], gradientAccumulationSteps: number): StepPlan[] {
  const steps: StepPlan[] = [];
  for (let i = 0; i < batches.length; i += gradientAccumulationSteps) steps.push(batches.slice(i, i + gradientAccumulationSteps));
  return steps;
}
