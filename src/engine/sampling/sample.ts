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

  const V = logits.length;
  const nth = likeliestFirst(logits);
  const top = logits[nth(0)];
  const weight = (id: number) => Math.exp((logits[id] - top) / sampling.temperature);
  let kept = sampling.topK === 0 ? V : Math.min(sampling.topK, V);
  let total = 0;
  for (let i = 0; i < kept; i++) total += weight(kept === V ? i : nth(i)); // of all of them in any order
  if (sampling.topP < 1) {
    // the smallest set whose probability reaches p: the token that crosses the line stays
    const most = kept;
    let mass = 0;
    kept = 0;
    while (kept < most && mass < sampling.topP * total) mass += weight(nth(kept++));
    total = mass;
  }
  if (sampling.minP > 0) {
    // they come in falling order and the likeliest has weight 1
    const most = kept;
    let mass = 1;
    kept = 1;
    while (kept < most && weight(nth(kept)) >= sampling.minP) mass += weight(nth(kept++));
    total = mass;
  }

  let threshold = next() * total;
  let chosen = 0;
  while (chosen < kept - 1 && (threshold -= weight(nth(chosen))) >= 0) chosen++;
  const id = nth(chosen);
  const isKept = (other: number): boolean => {
    if (kept === V) return true;
    for (let i = 0; i < kept; i++) if (nth(i) === other) return true;
    return false;
  };
  return { id, logprob: logprobOf(id, logits[id]), alternatives: alternativesOf(id, (other) => (isKept(other) ? weight(other) / total : 0)) };
}

/**
 * The ids by falling logit, ties by id: a function that gives the i-th. They leave a heap as they are asked for: a draw asks for few, and
 * sorting a row of 49,152 took longer than a small model's whole step.
 */
function likeliestFirst(logits: Float32Array): (i: number) => number {
  const heap = new Int32Array(logits.length);
  for (let id = 0; id < heap.length; id++) heap[id] = id;
  let length = heap.length;
  const before = (a: number, b: number) => logits[a] > logits[b] || (logits[a] === logits[b] && a < b);
  const sink = (at: number) => {
    const id = heap[at];
    for (let child = 2 * at + 1; child < length; child = 2 * at + 1) {
      if (child + 1 < length && before(heap[child + 1], heap[child])) child++;
      if (!before(heap[child], id)) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = id;
  };
  for (let at = (length >> 1) - 1; at >= 0; at--) sink(at);
  const ids: number[] = [];
  return (i) => {
    while (ids.length <= i) {
      ids.push(heap[0]);
      heap[0] = heap[--length];
      sink(0);
    }
    return ids[i];
  };
}

/** The ids of the few highest logits, likeliest first, ties by id; one walk over the row, where sorting it would cost more than a small model's step. */
export function likeliestIds(logits: Float32Array, count: number): number[] {
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

export function logSumExp(logits: Float32Array): number {
  const top = logits[argmax(logits)];
  let sum = 0;
  for (let id = 0; id < logits.length; id++) sum += Math.exp(logits[id] - top);
  return top + Math.log(sum);
}
