/**
 * One next token from one row of logits: filtered (filters.ts), drawn, and told with its own log-prob.
 * Not here: where logits come from (model.decode) or when a completion ends (generate.ts).
 */
import type { Sampling } from '../../shared/sampling.ts';
import { applyFilters, type Context, hasPenalties, type Row, type Stage, weightOf } from './filters.ts';

/** What else could have stood there: the model's own probability, and the one it was drawn with after all filters. */
export type Alternative = { id: number; probability: number; sampledProbability: number };

/** The draw, its log-probability under the model itself, before any filter, and the entropy of the model's own distribution there (both nats). */
export type Sampled = { id: number; logprob: number; entropy: number; alternatives: Alternative[] };

/**
 * `logits` (V) are changed in place. `next` gives a uniform number in [0, 1), asked for once; greedy (temperature 0) does not need it, ties go to the lowest id.
 * `alternatives`: how many of the model's likeliest tokens are told; the drawn one is told too when it is none of them. `forced` stands there whatever is drawn.
 */
export function sampleToken(logits: Float32Array, context: Context, sampling: Sampling, next: () => number, alternatives = 0, forced?: number): Sampled {
  const { logSumExp, entropy } = summarise(logits);
  // kept aside: penalties and masks change the logits, what is reported is the model's own
  const own = hasPenalties(sampling) || context.mask ? logits.slice() : logits;
  const told = alternatives > 0 ? likeliestIds(logits, alternatives) : [];
  const row = applyFilters(logits, context, sampling);
  const drawn = draw(row, next);
  const id = forced ?? drawn;
  const sampledProbability = told.length > 0 ? probabilityOf(row) : () => 0;
  const ids = told.length === 0 || told.includes(id) ? told : [...told, id];
  return {
    id, entropy,
    logprob: own[id] - logSumExp,
    alternatives: ids.map((other) => ({ id: other, probability: Math.exp(own[other] - logSumExp), sampledProbability: sampledProbability(other) })),
  };
}

/** One place of a text: its likeliest tokens, with their probability under the model and after each filter that did something, in order. */
export type Trace = {
  stages: { stage: 'model' | Stage; /** tokens that may still be drawn */ kept: number; /** nats */ entropy: number }[];
  /** `probabilities`: one a stage. */
  tokens: { id: number; probabilities: number[] }[];
};

/** What the filters make of a row; `logits` (V) are changed in place. `count` tokens are told: the model's own likeliest. */
export function traceFilters(logits: Float32Array, context: Context, sampling: Sampling, count: number): Trace {
  const { logSumExp, entropy } = summarise(logits);
  const tokens = likeliestIds(logits, count).map((id) => ({ id, probabilities: [Math.exp(logits[id] - logSumExp)] }));
  const stages: Trace['stages'] = [{ stage: 'model', kept: logits.length, entropy }];
  applyFilters(logits, context, sampling, (stage, row) => {
    // of the row as it is now: what a later filter changes must not be seen here
    const now = { ...row, logits: row.logits.slice() };
    const ids = now.kept ?? Array.from(now.logits.keys()).filter((id) => now.logits[id] > -Infinity);
    const probability = probabilityOf({ ...now, kept: ids.sort((a, b) => now.logits[b] - now.logits[a] || a - b) });
    stages.push({ stage, kept: ids.length, entropy: ids.reduce((sum, id) => (probability(id) > 0 ? sum - probability(id) * Math.log(probability(id)) : sum), 0) });
    for (const token of tokens) token.probabilities.push(probability(token.id));
  });
  return { stages, tokens };
}

function draw(row: Row, next: () => number): number {
  const { kept, logits } = row;
  const weight = weightOf(row);
  const count = kept?.length ?? logits.length;
  let threshold = next() * sumOfWeights(row);
  let last = kept ? kept[0] : row.nth(0);
  for (let i = 0; i < count; i++) {
    const id = kept ? kept[i] : row.nth(i);
    const share = weight(id);
    if (share === 0) break; // only such follow
    last = id;
    if ((threshold -= share) < 0) break;
  }
  return last; // also where rounding left a crumb over
}

/** The probability a token is drawn with. */
function probabilityOf(row: Row): (id: number) => number {
  const weight = weightOf(row);
  const total = sumOfWeights(row);
  const kept = row.kept && new Set(row.kept);
  return (id) => (!kept || kept.has(id) ? weight(id) / total : 0);
}

function sumOfWeights(row: Row): number {
  const weight = weightOf(row);
  let total = 0;
  if (row.kept) for (const id of row.kept) total += weight(id);
  else for (let id = 0; id < row.logits.length; id++) total += weight(id);
  return total;
}

/** The ids of the few highest logits, likeliest first, ties by id; one walk over the row, where sorting it would cost more than a small model's step. */
export function likeliestIds(logits: Float32Array, count: number): number[] {
  const ids: number[] = [];
  if (count === 0) return ids;
  let least = -Infinity; // of those in, once they are as many as are wanted
  for (let id = 0; id < logits.length; id++) {
    if (ids.length === count && !(logits[id] > least)) continue;
    let at = ids.length;
    while (at > 0 && logits[id] > logits[ids[at - 1]]) at--;
    ids.splice(at, 0, id);
    if (ids.length > count) ids.pop();
    least = logits[ids[ids.length - 1]];
  }
  return ids;
}

/** In nats; one walk for both, since sampling pays for it at every token. */
export function summarise(logits: Float32Array): { logSumExp: number; entropy: number } {
  let top = -Infinity;
  for (let id = 0; id < logits.length; id++) if (logits[id] > top) top = logits[id];
  let sum = 0, weighted = 0;
  for (let id = 0; id < logits.length; id++) {
    const below = logits[id] - top;
    const share = Math.exp(below);
    sum += share;
    if (share > 0) weighted += share * below;
  }
  return { logSumExp: top + Math.log(sum), entropy: Math.log(sum) - weighted / sum };
}
