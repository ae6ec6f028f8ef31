/**
 * The filters between a row of logits and the draw, in the order that shared/sampling.ts states: what is allowed at all (a mask), penalties, temperature and
 * cuts. Each leaves fewer tokens, or their logits changed; the next one sees only what the one before left, its probabilities summing to one.
 * Penalties: CTRL (Keskar et al. 2019, over prompt and answer) and OpenAI's (over the answer alone); typical: Meister et al. 2022; min-p: Nguyen et al. 2024.
 * Not here: the draw (sample.ts).
 */
import { type Filter, FILTER_ORDERS, type Sampling } from '../../shared/sampling.ts';

/** What is known of the place that is sampled. `mask`: bit id & 31 of word id >> 5 says whether a token may stand there; null or left out allows all. */
export type Context = { prompt: readonly number[]; completion: readonly number[]; mask?: Int32Array | null };

type Penalties = Pick<Sampling, 'repetitionPenalty' | 'frequencyPenalty' | 'presencePenalty'>;

export type Stage = 'mask' | Filter;

/** A row on its way: token `id` weighs exp((logits[id] − top) / temperature). */
export type Row = {
  readonly logits: Float32Array;
  temperature: number;
  /** Ids still in, likeliest first, ties by id; null: all of them. */
  kept: number[] | null;
  /** The i-th likeliest of all ids. */
  nth(i: number): number;
};

/** Runs the filters that do something; `logits` (V) are changed in place. `onStage` is told after each. */
export function applyFilters(logits: Float32Array, context: Context, sampling: Sampling, onStage: (stage: Stage, row: Row) => void = () => {}): Row {
  let nth: ((i: number) => number) | null = null;
  const row: Row = {
    logits,
    temperature: 1,
    kept: null,
    nth: (i) => (nth ??= likeliestFirst(row))(i), // made when the logits have settled
  };
  if (context.mask) {
    applyMask(logits, context.mask);
    onStage('mask', row);
  }
  for (const filter of activeFilters(sampling)) {
    apply[filter](row, sampling, context);
    onStage(filter, row);
  }
  return row;
}

/** Weights relative to the likeliest one: 0 to 1. */
export function weightOf({ logits, temperature, kept, nth }: Row): (id: number) => number {
  const top = logits[kept ? kept[0] : nth(0)];
  return (id) => Math.exp((logits[id] - top) / temperature);
}

export function hasPenalties({ repetitionPenalty, frequencyPenalty, presencePenalty }: Sampling): boolean {
  return repetitionPenalty !== 1 || frequencyPenalty !== 0 || presencePenalty !== 0;
}

function activeFilters(sampling: Sampling): Filter[] {
  const { temperature, topK, topP, minP, typicalP } = sampling;
  // greedy takes the likeliest token, which no cut but typical's could take away: transformers leaves them all out
  const greedy = temperature === 0;
  const active: Record<Filter, boolean> = {
    penalties: hasPenalties(sampling),
    temperature: temperature !== 1,
    topK: !greedy && topK > 0,
    topP: !greedy && topP < 1,
    minP: !greedy && minP > 0,
    typicalP: !greedy && typicalP < 1,
  };
  return FILTER_ORDERS[sampling.filterOrder].filter((filter) => active[filter]);
}

const apply: Record<Filter, (row: Row, sampling: Sampling, context: Context) => void> = {
  penalties: ({ logits }, sampling, context) => applyPenalties(logits, sampling, context),

  temperature(row, { temperature }) {
    if (temperature > 0) row.temperature = temperature;
    else row.kept = [row.kept ? row.kept[0] : argmax(row.logits)];
  },

  topK(row, { topK }) {
    const count = Math.min(topK, row.kept?.length ?? row.logits.length);
    row.kept = row.kept?.slice(0, count) ?? Array.from({ length: count }, (_, i) => row.nth(i));
  },

  // the smallest set whose probability reaches p: the token that crosses the line stays
  topP(row, { topP }) {
    const { nth, kept, total, weight } = totalOf(row);
    const cut: number[] = [];
    for (let i = 0, mass = 0; i < kept && mass < topP * total; i++) {
      cut.push(nth(i));
      mass += weight(cut[i]);
    }
    row.kept = cut;
  },

  // they come in falling order and the likeliest has weight 1
  minP(row, { minP }) {
    const weight = weightOf(row);
    const most = row.kept?.length ?? row.logits.length;
    const cut: number[] = [];
    for (let i = 0; i < most; i++) {
      const id = row.kept ? row.kept[i] : row.nth(i);
      if (weight(id) < minP) break;
      cut.push(id);
    }
    row.kept = cut;
  },

  // by |−log p − entropy|, nearest first, until their mass reaches p; those as near as the last one stay too
  typicalP(row, { typicalP }) {
    const { nth, kept, total, weight } = totalOf(row);
    const probabilities = new Float64Array(row.logits.length);
    let entropy = 0;
    for (let i = 0; i < kept; i++) {
      const id = row.kept ? nth(i) : i;
      const p = weight(id) / total;
      probabilities[id] = p;
      if (p > 0) entropy -= p * Math.log(p);
    }
    const distance = Float64Array.from(probabilities, (p) => (p > 0 ? Math.abs(-Math.log(p) - entropy) : Infinity));
    const nearest = inOrder(Int32Array.from(distance.keys()), (a, b) => distance[a] < distance[b] || (distance[a] === distance[b] && a < b));
    const cut: number[] = [];
    for (let i = 0, mass = 0; i < kept; i++) {
      const id = nearest(i);
      if (probabilities[id] === 0 || (mass >= typicalP && distance[id] > distance[cut[i - 1]])) break;
      cut.push(id);
      mass += probabilities[id];
    }
    row.kept = cut.sort((a, b) => row.logits[b] - row.logits[a] || a - b);
  },
};

/** Takes from the logits of tokens that were there before; works on log-probs as well. */
export function applyPenalties(logits: Float32Array, { repetitionPenalty, frequencyPenalty, presencePenalty }: Penalties, { prompt, completion }: Context): void {
  if (repetitionPenalty !== 1) {
    // a positive logit is divided, a negative one multiplied; once per distinct token
    for (const id of new Set([...prompt, ...completion])) logits[id] = logits[id] > 0 ? logits[id] / repetitionPenalty : logits[id] * repetitionPenalty;
  }
  if (frequencyPenalty === 0 && presencePenalty === 0) return;
  const counts = new Map<number, number>();
  for (const id of completion) counts.set(id, (counts.get(id) ?? 0) + 1);
  for (const [id, count] of counts) logits[id] -= frequencyPenalty * count + presencePenalty;
}

/** Takes out what a mask does not let through; works on log-probs as well. */
export function applyMask(logits: Float32Array, mask: Int32Array): void {
  for (let id = 0; id < logits.length; id++) if (((mask[id >> 5] >>> (id & 31)) & 1) === 0) logits[id] = -Infinity;
}

/** How many are in, their weights and the sum of them; `nth` gives the i-th of them. */
function totalOf(row: Row): { nth: (i: number) => number; kept: number; total: number; weight: (id: number) => number } {
  const { kept } = row;
  const weight = weightOf(row);
  const nth = kept ? (i: number) => kept[i] : row.nth;
  const count = kept?.length ?? row.logits.length;
  let total = 0;
  for (let i = 0; i < count; i++) total += weight(kept ? kept[i] : i); // of all of them in any order
  return { nth, kept: count, total, weight };
}

/** Ids whose logit is this much below the highest one, over the temperature, weigh less than 1e-7: few draws come to them. */
const NEAR = 16;

/** The i-th likeliest id, ties by id: first of those near the top, which are few as a rule, and of the others only when those have all been asked for. */
function likeliestFirst({ logits, temperature }: Row): (i: number) => number {
  let top = -Infinity;
  for (let id = 0; id < logits.length; id++) if (logits[id] > top) top = logits[id];
  const line = top - NEAR * temperature;
  const before = (a: number, b: number): boolean => logits[a] > logits[b] || (logits[a] === logits[b] && a < b);
  const idsOf = (near: boolean): Int32Array => {
    const ids = new Int32Array(logits.length);
    let count = 0;
    for (let id = 0; id < logits.length; id++) if (logits[id] > line === near) ids[count++] = id;
    return ids.subarray(0, count);
  };
  const close = idsOf(true);
  const first = inOrder(close, before);
  let rest: ((i: number) => number) | null = null;
  return (i) => (i < close.length ? first(i) : (rest ??= inOrder(idsOf(false), before))(i - close.length));
}

/**
 * Ids in an order: a function that gives the i-th. They leave a heap, which `heap` becomes, as they are asked for: a draw asks for few, and
 * sorting a row of 49,152 took longer than a small model's whole step.
 */
function inOrder(heap: Int32Array, before: (a: number, b: number) => boolean): (i: number) => number {
  let length = heap.length;
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

/** The id of the highest logit, the lowest id on a tie. */
export function argmax(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id] > logits[best]) best = id;
  return best;
}
