/**
 * One next token from one row of logits. The order of the filters is transformers': repetition penalty, temperature, top-k, top-p, min-p, draw.
 * Not here: where logits come from (model.decode) or when a completion ends (generate.ts).
 */
import type { Sampling } from '../../shared/sampling.ts';

/** What else could have stood there: the model's own probability, and the one it was drawn with after penalty, temperature and filters. */
export type Alternative = { id: number; probability: number; sampledProbability: number };

/** The draw, and its log-probability (nats) under the model itself, before any filter. */
export type Sampled = { id: number; logprob: number; alternatives: Alternative[] };

/**
 * `logits` (V) are changed in place. `seen` holds the ids of prompt and completion so far, for the repetition penalty.
 * `next` gives a uniform number in [0, 1); greedy (temperature 0) does not draw, ties go to the lowest id.
 * `alternatives`: how many of the model's likeliest tokens are told; the drawn one is told too when it is none of them.
 */
export function sampleToken(logits: Float32Array, seen: Iterable<number>, sampling: Sampling, next: () => number, alternatives = 0): Sampled {
  const lse = logSumExp(logits);
  // kept aside: the penalty below changes the logits, what is reported is the model's own
  const own = sampling.repetitionPenalty === 1 ? null : logits.slice();
  const told = alternatives > 0 ? likeliestIds(logits, alternatives) : null;
  const logprobOf = (id: number, logit: number) => (own ? own[id] : logit) - lse;
  const alternativesOf = (drawn: number, sampledProbability: (id: number) => number): Alternative[] => {
    if (told === null) return [];
    const ids = told.includes(drawn) ? told : [...told, drawn];
    return Array.from(ids, (id) => ({ id, probability: Math.exp(logprobOf(id, logits[id])), sampledProbability: sampledProbability(id) }));
  };

  if (sampling.repetitionPenalty !== 1) {
    // CTRL (Keskar et al. 2019): a positive logit is divided, a negative one multiplied; once per distinct token
    for (const id of new Set(seen)) logits[id] = logits[id] > 0 ? logits[id] / sampling.repetitionPenalty : logits[id] * sampling.repetitionPenalty;
  }
  if (sampling.temperature === 0) {
    const id = argmax(logits);
    return { id, logprob: logprobOf(id, logits[id]), alternatives: alternativesOf(id, (other) => (other === id ? 1 : 0)) };
  }

  const candidates = candidateIds(logits, sampling.topK);
  const weights = new Float64Array(candidates.length);
  const top = logits[candidates[0]];
  let total = 0;
  for (let i = 0; i < candidates.length; i++) total += weights[i] = Math.exp((logits[candidates[i]] - top) / sampling.temperature);
  let kept = candidates.length;
  if (sampling.topP < 1) {
    // the smallest set whose probability reaches p: the token that crosses the line stays
    let mass = 0;
    kept = 0;
    while (kept < candidates.length && mass < sampling.topP * total) mass += weights[kept++];
    total = mass;
  }
  if (sampling.minP > 0) {
    // candidates are in falling order and the likeliest has weight 1
    while (kept > 1 && weights[kept - 1] < sampling.minP) total -= weights[--kept];
  }

  let threshold = next() * total;
  let chosen = 0;
  while (chosen < kept - 1 && (threshold -= weights[chosen]) >= 0) chosen++;
  const id = candidates[chosen];
  const drawnWith = (other: number): number => {
    const at = candidates.indexOf(other);
    return at >= 0 && at < kept ? weights[at] / total : 0;
  };
  return { id, logprob: logprobOf(id, logits[id]), alternatives: alternativesOf(id, drawnWith) };
}

/** The ids of the k highest logits (0: of all), likeliest first, ties by id. */
function candidateIds(logits: Float32Array, topK: number): Int32Array {
  const all = Int32Array.from(logits, (_, id) => id);
  const byLogit = (a: number, b: number) => logits[b] - logits[a] || a - b;
  if (topK === 0 || topK >= logits.length) return all.sort(byLogit);
  const threshold = logits.slice().sort()[logits.length - topK];
  return all.filter((id) => logits[id] >= threshold).sort(byLogit).subarray(0, topK);
}

/** The ids of the few highest logits, likeliest first, ties by id; one walk over the row, where sorting it would cost more than a small model's step. */
function likeliestIds(logits: Float32Array, count: number): number[] {
  const ids: number[] = [];
  for (let id = 0; id < logits.length; id++) {
    if (ids.length === count && !(logits[id] > logits[ids[count - 1]])) continue;
    let at = ids.length;
    while (at > 0 && logits[id] > logits[ids[at - 1]]) at--;
    ids.splice(at, 0, id);
    if (ids.length > count) ids.pop();
  }
  return ids;
}

/** The id of the highest logit, the lowest id on a tie. */
export function argmax(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id] > logits[best]) best = id;
  return best;
}

function logSumExp(logits: Float32Array): number {
  const top = logits[argmax(logits)];
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - top);
  return top + Math.log(sum);
}
