/**
 * Odds-ratio preference optimisation: pairs of answers to one prompt, no reference; prompts and chosen answers are learnt along the way.
 * Follows TRL's ORPOTrainer in names and arithmetic; the loss is losses/orpo.ts, the steps are preference.ts's.
 */
import { orpoLoss } from '../losses/orpo.ts';
import { type PairData, type PairObjective, trainOnPairs } from './preference.ts';
import type { StepReport, Training } from './training.ts';

export function orpo(training: Training, data: PairData, options: { beta: number }): AsyncGenerator<StepReport, void, void> {
  const objective: PairObjective = (pairs, _rows, totals) => {
    const step = { pairs: totals.pairs, nllTokens: totals.chosenTokens + totals.promptTokens };
    const { nll, logOddsRatio, logOddsChosen, ...share } = orpoLoss(pairs, step, options);
    const rewards = (logps: Float64Array) => logps.map((logp) => options.beta * logp);
    return {
      ...share,
      chosenRewards: rewards(share.chosenLogps),
      rejectedRewards: rewards(share.rejectedLogps),
      values: { nll_loss: nll, log_odds_ratio: logOddsRatio, log_odds_chosen: logOddsChosen },
    };
  };
  return trainOnPairs(training, data, { train: objective, validation: objective, promptLoss: true });
}
