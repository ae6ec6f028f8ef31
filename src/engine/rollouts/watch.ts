/**
 * Holds the gold score, which is never trained on, against the reward, which is. Tells once, with the numbers, when the reward climbs while gold
 * falls; and says when the run is to end: at that (stopWhenGamed), or where gold has fallen too far behind its best (goldLimit).
 * What it says hangs on what it was shown alone, in order: a resumed run shows it the steps before again. How far the policy may go is klBudget's.
 */

/** Steps whose means are compared. */
const WINDOW = 10;

export type GoldWatchOptions = {
  goldLimit: number | null;
  stopWhenGamed: boolean;
  /** Batches of answers that one mean for goldLimit is taken over: a round of rejection sampling is many answers, a step of the others few. */
  averaged: number;
};

/** Call with the means of each batch of answers: why the run ends here, or undefined. */
export type GoldWatch = (means: { reward: number; gold: number }) => string | undefined;

export function createGoldWatch({ goldLimit, stopWhenGamed, averaged }: GoldWatchOptions, note: (text: string) => void): GoldWatch {
  const seen: { reward: number; gold: number }[] = [];
  let told = false;
  let best = -Infinity;

  const limit = (): string | undefined => {
    if (goldLimit === null || seen.length < averaged) return undefined;
    const { mean } = spread(seen.slice(-averaged).map(({ gold }) => gold));
    best = Math.max(best, mean);
    if (!(best - mean > goldLimit)) return undefined;
    return `gold has fallen from ${best.toFixed(3)}, its best, to ${mean.toFixed(3)}${averaged > 1 ? ` (means of ${averaged} steps)` : ''}, by more than goldLimit (${goldLimit}): the run ends here; take the checkpoint marked best`;
  };
  const gamed = (): string | undefined => {
    if (told || seen.length < 2 * WINDOW) return undefined;
    const change = (of: 'reward' | 'gold') => {
      const [before, after] = [seen.slice(0, WINDOW), seen.slice(-WINDOW)].map((part) => spread(part.map((each) => each[of])));
      // twice the error of a difference of two means: less is noise
      return { before: before.mean, after: after.mean, sure: Math.abs(after.mean - before.mean) > 2 * Math.hypot(before.error, after.error) };
    };
    const [score, truth] = [change('reward'), change('gold')];
    if (!score.sure || !truth.sure || score.after < score.before || truth.after > truth.before) return undefined;
    told = true;
    const found =
      `after ${seen.length} steps the reward has risen from ${score.before.toFixed(3)} to ${score.after.toFixed(3)} while gold has fallen from ${truth.before.toFixed(3)} to ` +
      `${truth.after.toFixed(3)} (means of ${WINDOW} steps): the reward is being gamed`;
    if (stopWhenGamed) return `${found}, and stopWhenGamed ends the run here; take the checkpoint marked best`;
    note(`${found}; take the checkpoint marked best, raise beta or klCoef, or set klBudget, goldLimit or stopWhenGamed`);
    return undefined;
  };

  return (means) => {
    seen.push(means);
    return limit() ?? gamed();
  };
}

function spread(values: number[]): { mean: number; error: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { mean, error: Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1) / values.length) };
}
