/**
 * Contrastive preference optimisation and SimPO: pairs of answers to one prompt, no reference. Follows TRL's CPOTrainer in names and
 * arithmetic; the loss is losses/cpo.ts, the steps are preference.ts's.
 */
import { cpoLoss, type CpoOptions } from '../losses/cpo.ts';
import { type PairData, type PairObjective, trainOnPairs } from './preference.ts';
import type { StepReport, Training } from './training.ts';

export function cpo(training: Training, data: PairData, options: CpoOptions): AsyncGenerator<StepReport, void, void> {
  const objective: PairObjective = (pairs, _rows, totals) => {
    const { nll, ...share } = cpoLoss(pairs, totals, options);
    const rewards = (logps: Float64Array) => logps.map((logp) => options.beta * logp);
    return { ...share, chosenRewards: rewards(share.chosenLogps), rejectedRewards: rewards(share.rejectedLogps), values: { nll_loss: nll } };
  };
  return trainOnPairs(training, data, { train: objective, validation: objective, promptLoss: false });
}
