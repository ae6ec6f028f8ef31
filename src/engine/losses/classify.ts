/**
 * Cross-entropy over labels, as transformers' …ForSequenceClassification computes it for one label a text.
 *
 *   L = −(1/T) Σ log softmax(sₜ)[labelₜ]      over the T texts of the whole optimiser step
 */

export type ClassifyLoss = {
  /** this micro-batch's share of the step's mean loss */
  loss: number;
  /** (T, labels) dL/dscore */
  dscores: Float32Array;
  /** (T) the label with the highest score, the first on a tie */
  predicted: Int32Array;
};

/** scores (T, L), labels (T); `stepTexts` is T over all micro-batches of the step. */
export function classifyLoss(scores: Float32Array, labels: Int32Array, numLabels: number, stepTexts: number): ClassifyLoss {
  const result: ClassifyLoss = { loss: 0, dscores: new Float32Array(scores.length), predicted: new Int32Array(labels.length) };
  for (const [t, label] of labels.entries()) {
    const row = scores.subarray(t * numLabels, (t + 1) * numLabels);
    const best = row.reduce((at, score, i) => (score > row[at] ? i : at), 0);
    let sum = 0;
    for (const score of row) sum += Math.exp(score - row[best]);
    result.loss += (Math.log(sum) + row[best] - row[label]) / stepTexts;
    // dL/dsᵢ = softmax(s)ᵢ − [i = label]
    for (const [i, score] of row.entries()) {
      result.dscores[t * numLabels + i] = (Math.exp(score - row[best]) / sum - (i === label ? 1 : 0)) / stepTexts;
    }
    result.predicted[t] = best;
  }
  return result;
}
