/**
 * Sees a reward being gamed: the trained score climbs while the gold one, which is never trained on, falls. Tells it once, with the numbers.
 * It only looks: nothing of a run depends on it, and a resumed run looks anew. Where to stop is klBudget's.
 */

/** Steps whose means are compared: the first so many seen, and the last. */
const WINDOW = 10;

/** Call with the means of each step's answers. */
export function createGoldWatch(note: (text: string) => void): (reward: number, gold: number) => void {
  const seen: { reward: number; gold: number }[] = [];
  let told = false;
  return (reward, gold) => {
    seen.push({ reward, gold });
    if (told || seen.length < 2 * WINDOW) return;
    const change = (of: 'reward' | 'gold') => {
      const [before, after] = [seen.slice(0, WINDOW), seen.slice(-WINDOW)].map((part) => spread(part.map((each) => each[of])));
      // twice the error of a difference of two means: less is noise
      return { before: before.mean, after: after.mean, sure: Math.abs(after.mean - before.mean) > 2 * Math.hypot(before.error, after.error) };
    };
    const [score, truth] = [change('reward'), change('gold')];
    if (!score.sure || !truth.sure || score.after < score.before || truth.after > truth.before) return;
    told = true;
    note(
      `after ${seen.length} steps the reward has risen from ${score.before.toFixed(3)} to ${score.after.toFixed(3)} while gold has fallen from ${truth.before.toFixed(3)} to ` +
        `${truth.after.toFixed(3)} (means of ${WINDOW} steps): the reward is being gamed; take the checkpoint marked best, raise beta or klCoef, or set klBudget`,
    );
  };
}

function spread(values: number[]): { mean: number; error: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { mean, error: Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1) / values.length) };
}
