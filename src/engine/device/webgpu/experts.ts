/** Mixtures of experts: a router's choices, laid out by expert without leaving the GPU, and rows put together again. */
import type { Device } from '../device.ts';
import type { Gpu } from './gpu.ts';
import { blocksOf, elementwise, type Kernel, LOWEST } from './kernel.ts';
import type { Memory } from './memory.ts';

/** A thread a row: experts are few. */
const CHOOSE = elementwise({
  name: 'route_choose', buffers: { probs: 'f32', weights: 'f32', chosen: 'i32', logits: 'f32' }, numbers: { E: 'u32', K: 'u32', normalise: 'u32' },
  main: `
  let row = i * P.E;
  var top = ${LOWEST};
  for (var e = 0u; e < P.E; e++) { top = max(top, logits[row + e]); }
  var total = 0.0;
  for (var e = 0u; e < P.E; e++) { total += exp(logits[row + e] - top); }
  for (var e = 0u; e < P.E; e++) { probs[row + e] = exp(logits[row + e] - top) / total; }
  // the likeliest of those that come after the last one chosen: less likely, or as likely and of a higher number
  var last = 0.0;
  var at = 0u;
  var sum = 0.0;
  for (var j = 0u; j < P.K; j++) {
    var best = P.E;
    for (var e = 0u; e < P.E; e++) {
      let logit = logits[row + e];
      let after = j == 0u || logit < last || (logit == last && e > at);
      if (after && (best == P.E || logit > logits[row + best])) { best = e; }
    }
    at = best;
    last = logits[row + best];
    chosen[i * P.K + j] = i32(best);
    weights[i * P.K + j] = probs[row + best];
    sum += probs[row + best];
  }
  if (P.normalise == 1u) { for (var j = 0u; j < P.K; j++) { weights[i * P.K + j] = weights[i * P.K + j] / sum; } }`,
});

/** A workgroup an expert: how many pairs chose it. */
const COUNT: Kernel = {
  name: 'route_count', buffers: { counts: 'f32', chosen: 'i32' }, numbers: { pairs: 'u32' }, threads: 256, reduces: true,
  main: `
  var own = 0.0;
  for (var i = lane; i < P.pairs; i += 256u) { if (u32(chosen[i]) == block) { own += 1.0; } }
  let all = sum_all(own, lane);
  if (lane == 0u) { counts[block] = all; }`,
};
const bound = (load: boolean): Kernel => ({
  name: `route_bounds${load ? ' load' : ''}`, buffers: { bounds: 'i32', ...(load ? { load: 'f32' } as const : {}), counts: 'f32' }, numbers: { E: 'u32' }, threads: 1,
  main: `
  var sum = 0;
  for (var e = 0u; e < P.E; e++) { bounds[e] = sum; sum += i32(counts[e]); ${load ? 'load[e] += counts[e];' : ''} }
  bounds[P.E] = sum;`,
});
const BOUNDS = bound(false);
const BOUNDS_LOAD = bound(true);
/** A workgroup an expert: its pairs in their order, as many at once as it has threads; each finds how many of them come before it. */
const PLACE: Kernel = {
  name: 'route_place', buffers: { slots: 'i32', rows: 'i32', chosen: 'i32', bounds: 'i32' }, numbers: { pairs: 'u32', K: 'u32' }, threads: 256,
  shared: 'var<workgroup> own: array<u32, 256>;',
  main: `
  var next = bounds[block];
  for (var first = 0u; first < P.pairs; first += 256u) {
    let pair = first + lane;
    var mine = 0u;
    if (pair < P.pairs) { mine = select(0u, 1u, u32(chosen[pair]) == block); }
    workgroupBarrier();
    own[lane] = mine;
    workgroupBarrier();
    var before = 0;
    var all = 0;
    for (var i = 0u; i < 256u; i++) { if (i < lane) { before += i32(own[i]); } all += i32(own[i]); }
    if (mine == 1u) { slots[pair] = next + before; rows[next + before] = i32(pair / P.K); }
    next += all;
  }`,
};

const routeBackward = (balanced: boolean): Kernel => elementwise({
  name: `route_backward${balanced ? ' balanced' : ''}`,
  buffers: { dlogits: 'f32', dweights: 'f32', ...(balanced ? { dprobs: 'f32' } as const : {}), probs: 'f32', weights: 'f32', chosen: 'i32' },
  numbers: { E: 'u32', K: 'u32', normalise: 'u32' },
  main: `
  let row = i * P.E;
  var sum = 1.0;
  var turned = 0.0;
  if (P.normalise == 1u) {
    sum = 0.0;
    for (var j = i * P.K; j < (i + 1u) * P.K; j++) {
      sum += probs[row + u32(chosen[j])];
      turned += dweights[j] * weights[j]; // undoes, through the sum: weight = prob / sum
    }
  }
  for (var e = 0u; e < P.E; e++) { dlogits[row + e] = ${balanced ? 'dprobs[e]' : '0.0'}; }
  for (var j = i * P.K; j < (i + 1u) * P.K; j++) { dlogits[row + u32(chosen[j])] += (dweights[j] - turned) / sum; } // … through prob
  var mean = 0.0;
  for (var e = 0u; e < P.E; e++) { mean += dlogits[row + e] * probs[row + e]; }
  for (var e = 0u; e < P.E; e++) { dlogits[row + e] = probs[row + e] * (dlogits[row + e] - mean); } // undoes probs = softmax(logits)`,
});
const ROUTE_BACKWARD = routeBackward(false);
const ROUTE_BACKWARD_BALANCED = routeBackward(true);

const COMBINE = elementwise({
  name: 'combine_rows', buffers: { out: 'f32', y: 'f32', weights: 'f32', slots: 'i32' }, numbers: { K: 'u32', C: 'u32' },
  main: `
  let row = i / P.C;
  var sum = 0.0;
  for (var j = row * P.K; j < (row + 1u) * P.K; j++) { sum += weights[j] * y[u32(slots[j]) * P.C + i % P.C]; }
  out[i] += sum;`,
});
/** A workgroup a pair. */
const combineBackward = (frozen: boolean): Kernel => ({
  name: `combine_rows_backward${frozen ? ' frozen' : ''}`,
  buffers: { dy: 'f32', ...(frozen ? {} : { dweights: 'f32', y: 'f32' } as const), dout: 'f32', weights: 'f32', slots: 'i32' }, numbers: { K: 'u32', C: 'u32' }, threads: 64,
  reduces: true,
  main: `
  let place = u32(slots[block]) * P.C;
  let row = block / P.K * P.C;
  var sum = 0.0;
  for (var c = lane; c < P.C; c += 64u) {
    ${frozen ? '' : 'sum += dout[row + c] * y[place + c]; // undoes, through weights: out += weights · y'}
    dy[place + c] = weights[block] * dout[row + c]; // … through y
  }
  ${frozen ? '' : 'let all = sum_all(sum, lane);\n  if (lane == 0u) { dweights[block] = all; }'}`,
});
const COMBINE_BACKWARD = combineBackward(false);
const COMBINE_BACKWARD_FROZEN = combineBackward(true);

export function createExpertKernels(gpu: Gpu, memory: Memory): Pick<Device, 'route' | 'routeBackward' | 'combineRows' | 'combineRowsBackward'> {
  const f32 = (x: Parameters<Memory['part']>[0]) => memory.part(x, 'f32');
  const i32 = (x: Parameters<Memory['part']>[0]) => memory.part(x, 'i32');
  return {
    route(probs, weights, chosen, slots, rows, bounds, load, logits, N, E, K, normalise) {
      const pairs = N * K;
      const counts = memory.scratch('experts', E);
      gpu.run(CHOOSE, { probs: f32(probs), weights: f32(weights), chosen: i32(chosen), logits: f32(logits) }, { n: N, E, K, normalise }, blocksOf(N));
      gpu.run(COUNT, { counts, chosen: i32(chosen) }, { pairs }, E);
      gpu.run(load ? BOUNDS_LOAD : BOUNDS, { bounds: i32(bounds), ...(load ? { load: f32(load) } : {}), counts }, { E }, 1);
      gpu.run(PLACE, { slots: i32(slots), rows: i32(rows), chosen: i32(chosen), bounds: i32(bounds) }, { pairs, K }, E);
    },
    routeBackward(dlogits, dweights, dprobs, probs, weights, chosen, N, E, K, normalise) {
      const buffers = { dlogits: f32(dlogits), dweights: f32(dweights), ...(dprobs ? { dprobs: f32(dprobs) } : {}), probs: f32(probs), weights: f32(weights), chosen: i32(chosen) };
      gpu.run(dprobs ? ROUTE_BACKWARD_BALANCED : ROUTE_BACKWARD, buffers, { n: N, E, K, normalise }, blocksOf(N));
    },
    combineRows: (out, y, weights, slots, N, K, C) =>
      gpu.run(COMBINE, { out: f32(out), y: f32(y), weights: f32(weights), slots: i32(slots) }, { n: N * C, K, C }, blocksOf(N * C)),
    combineRowsBackward(dy, dweights, dout, y, weights, slots, N, K, C) {
      const buffers = { dy: f32(dy), ...(dweights ? { dweights: f32(dweights), y: f32(y) } : {}), dout: f32(dout), weights: f32(weights), slots: i32(slots) };
      gpu.run(dweights ? COMBINE_BACKWARD : COMBINE_BACKWARD_FROZEN, buffers, { K, C }, N * K);
    },
  };
}
