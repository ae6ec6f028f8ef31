/**
 * Learning rates by step, as transformers' get_*_schedule_with_warmup count them: optimiser step i, from 0, takes learningRateAt(i),
 * so the first step of a warm-up has rate 0.
 */
import type { Optimizer } from '../../shared/recipe.ts';

/** wsd: the share of all steps, at the end, that the rate decays over. The recipe has no field for it. */
const WSD_DECAY = 0.2;

export function warmupSteps(totalSteps: number, warmupRatio: number): number {
  return Math.ceil(totalSteps * warmupRatio);
}

/** @param step 0 … totalSteps − 1 */
export function learningRateAt(step: number, totalSteps: number, optimizer: Optimizer): number {
  return optimizer.learningRate * factorAt(step, totalSteps, optimizer);
}

function factorAt(step: number, totalSteps: number, { lrSchedulerType, warmupRatio, minLrRatio }: Optimizer): number {
  const warmup = warmupSteps(totalSteps, warmupRatio);
  const end = (factor: number) => minLrRatio + (1 - minLrRatio) * factor;
  // transformers starts the warm-up of wsd, and of no other, at the least rate.
  if (step < warmup) return lrSchedulerType === 'wsd' ? end(step / warmup) : step / warmup;
  const progress = (from: number) => Math.min(1, (step - from) / Math.max(1, totalSteps - from));
  switch (lrSchedulerType) {
    case 'constant':
      return 1;
    case 'linear':
      return end(1 - progress(warmup));
    case 'cosine':
      return end(0.5 * (1 + Math.cos(Math.PI * progress(warmup))));
    case 'wsd': {
      const decayFrom = Math.max(warmup, totalSteps - Math.ceil(totalSteps * WSD_DECAY));
      return step < decayFrom ? 1 : end(0.5 * (1 + Math.cos(Math.PI * progress(decayFrom))));
    }
  }
}
