/**
 * Next-token negative log-likelihood, the loss of pretraining and of supervised fine-tuning.
 *
 *   L = −(1/T) Σ log p(tokenᵢ | tokens before i)      over the T tokens of the whole optimiser step that carry loss
 *
 * Every token weighs the same, wherever the step was cut into micro-batches: accumulation equals one big batch.
 * Not a mean of micro-batch means, which would weigh tokens of short batches more.
 */

/** Adds this micro-batch's share of the loss; dlogprobs (M) is dL/dlogprob. `stepTokens` is T, over all micro-batches of the step. */
export function sftLoss(logprobs: Float32Array, stepTokens: number): { loss: number; dlogprobs: Float32Array } {
  let sum = 0;
  for (const logprob of logprobs) sum += logprob;
  return { loss: -sum / stepTokens, dlogprobs: new Float32Array(logprobs.length).fill(-1 / stepTokens) };
}
