/**
 * What scores of held-out pairs say of a reward model: how chosen and rejected answers are spread, and whether σ(chosen − rejected), the
 * probability it gives to people's choice, is as often right as it says (expected calibration error, Guo et al. 2017).
 */
import type { RewardReport } from '../../shared/reports.ts';

const SCORE_BINS = 20;
/** Of confidence, from one half to one. */
const CONFIDENCE_BINS = 10;

/** One array a prompt: the scores of its answers, best first. Every pair of a prompt counts as one. */
export function rewardReport(scores: Float32Array[]): RewardReport {
  const [chosen, rejected]: [number[], number[]] = [[], []];
  for (const ranked of scores) {
    for (let i = 0; i < ranked.length; i++) {
      for (let j = i + 1; j < ranked.length; j++) {
        chosen.push(ranked[i]);
        rejected.push(ranked[j]);
      }
    }
  }
  const all = [...chosen, ...rejected];
  const low = all.reduce((a, b) => Math.min(a, b), Infinity);
  const high = all.reduce((a, b) => Math.max(a, b), -Infinity);
  const width = high > low ? (high - low) / SCORE_BINS : 1;
  const histogram = (values: number[]): number[] => {
    const counts = new Array<number>(SCORE_BINS).fill(0);
    for (const value of values) counts[Math.min(SCORE_BINS - 1, Math.floor((value - low) / width))]++;
    return counts;
  };

  const bins = Array.from({ length: CONFIDENCE_BINS }, () => ({ pairs: 0, confidence: 0, correct: 0 }));
  for (const [i, score] of chosen.entries()) {
    const probability = 1 / (1 + Math.exp(rejected[i] - score));
    const confidence = Math.max(probability, 1 - probability);
    const bin = bins[Math.min(CONFIDENCE_BINS - 1, Math.floor((confidence - 0.5) * 2 * CONFIDENCE_BINS))];
    bin.pairs++;
    bin.confidence += confidence;
    bin.correct += probability > 0.5 ? 1 : 0;
  }
  return {
    type: 'reward',
    pairs: chosen.length,
    scores: { low, width, chosen: histogram(chosen), rejected: histogram(rejected) },
    calibrationError: bins.reduce((sum, { confidence, correct }) => sum + Math.abs(confidence - correct), 0) / chosen.length,
    calibration: bins.map(({ pairs, confidence, correct }, i) => ({
      from: 0.5 + i / (2 * CONFIDENCE_BINS),
      pairs,
      confidence: pairs > 0 ? confidence / pairs : null,
      accuracy: pairs > 0 ? correct / pairs : null,
    })),
  };
}
