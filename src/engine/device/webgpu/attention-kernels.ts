/**
 * The texts of attention's kernels; attention.ts says how they go together. A workgroup has 16 × 16 threads, of which thread (ty, tx) has rows ty and
 * ty + 16 and columns tx and tx + 16 of every tile: as a vec4f, row by row.
 *
 * j counts a segment's queries; t its keys, prefix first, then its own; query j sees keys up to `behind + j`.
 */
import { elementwise, type Kernel, LOWEST, TANH } from './kernel.ts';

export const TILE = 32;
/** One more than a tile, so that threads side by side use different banks of memory. */
const WIDE = TILE + 1;

const NUMBERS: Kernel['numbers'] = { S: 'i32', H: 'i32', K: 'i32', D: 'i32', scale: 'f32', window: 'i32', cap: 'f32' };
const INPUTS: Kernel['buffers'] = { q: 'f32', k: 'f32', v: 'f32', segments: 'i32' };

const SEGMENT = `
struct Segment { queryStart: i32, queryLength: i32, prefixStart: i32, prefixLength: i32, keyStart: i32, keyLength: i32 }
fn segment(s: i32) -> Segment {
  return Segment(segments[6 * s], segments[6 * s + 1], segments[6 * s + 2], segments[6 * s + 3], segments[6 * s + 4], segments[6 * s + 5]);
}
fn key_row(at: Segment, t: i32) -> i32 { return select(at.keyStart + t - at.prefixLength, at.prefixStart + t, t < at.prefixLength); }
/** A product after scale and cap, and the slope they give it. */
fn score(product: f32) -> vec2f {
  if (P.cap == 0.0) { return vec2f(P.scale * product, P.scale); }
  let t = tanh_of(P.scale * product / P.cap);
  return vec2f(P.cap * t, P.scale * (1.0 - t * t));
}`;

/** Finds the segment of this workgroup's tile of queries; leaves the kernel where there is none. `h`: its head. */
const FIND_TILE = `
  let h = i32(block) % P.H;
  let head = h / (P.H / P.K);
  if (lane == 0u) {
    var left = i32(block) / P.H;
    found = Found(Segment(0, 0, 0, 0, 0, 0), -1);
    for (var s = 0; s < P.S; s++) {
      let at = segment(s);
      let tiles = (at.queryLength + ${TILE - 1}) / ${TILE};
      if (left < tiles) { found = Found(at, left * ${TILE}); break; }
      left -= tiles;
    }
  }
  let place = workgroupUniformLoad(&found);
  if (place.first < 0) { return; }
  let at = place.at;
  let j0 = place.first;
  let behind = at.prefixLength + at.keyLength - at.queryLength;
  let keysEnd = behind + min(j0 + ${TILE}, at.queryLength);
  let keysStart = max(0, behind + j0 + 1 - P.window) / ${TILE} * ${TILE};`;

const TILES = `
${SEGMENT}
${TANH}
var<workgroup> left: array<f32, ${TILE * WIDE}>;
var<workgroup> right: array<f32, ${TILE * WIDE}>;
var<workgroup> scores: array<f32, ${TILE * WIDE}>;`;
const FOUND = `
struct Found { at: Segment, first: i32 }
var<workgroup> found: Found;`;

/** Columns c0.. of 32 rows into a tile; where `inside` is false, zeros. `row` and `inside` speak of r. */
const load = (into: string, from: string, heads: string, head: string, row: string, inside: string): string => `
      for (var i = i32(lane); i < ${TILE * TILE}; i += 256) {
        let r = i / ${TILE};
        let c = i % ${TILE};
        var value = 0.0;
        if (${inside} && c0 + c < P.D) { value = ${from}[((${row}) * ${heads} + ${head}) * P.D + c0 + c]; }
        ${into}[r * ${WIDE} + c] = value;
      }`;
const queries = (from: string, h = 'h'): string => load('left', from, 'P.H', h, 'at.queryStart + j0 + r', 'j0 + r < at.queryLength');
const keys = (from: string): string => load('right', from, 'P.K', 'head', 'key_row(at, t0 + r)', 't0 + r < keysEnd');

/** `into` = rows of left times rows of right, over a whole head. */
const products = (into: string, loadLeft: string, loadRight: string): string => `
    var ${into} = vec4f(0.0);
    for (var c0 = 0; c0 < P.D; c0 += ${TILE}) {
      workgroupBarrier();${loadLeft}${loadRight}
      workgroupBarrier();
      for (var c = 0; c < ${TILE}; c++) {
        let x0 = left[ty * ${WIDE} + c];
        let x1 = left[(ty + 16) * ${WIDE} + c];
        let y0 = right[tx * ${WIDE} + c];
        let y1 = right[(tx + 16) * ${WIDE} + c];
        ${into} += vec4f(x0 * y0, x0 * y1, x1 * y0, x1 * y1);
      }
    }`;

/** What `sums` add for every 32 numbers of a head: scores (`by` its rows or, turned, its columns) times the rows of `right`. */
const weigh = (sums: string[], loadRight: string, turned: boolean): string => sums.map((sum, chunk) => `
    {
      let c0 = ${chunk * TILE};
      workgroupBarrier();${loadRight}
      workgroupBarrier();
      for (var i = 0; i < ${TILE}; i++) {
        let x0 = scores[${turned ? `i * ${WIDE} + ty` : `ty * ${WIDE} + i`}];
        let x1 = scores[${turned ? `i * ${WIDE} + ty + 16` : `(ty + 16) * ${WIDE} + i`}];
        let y0 = right[i * ${WIDE} + tx];
        let y1 = right[i * ${WIDE} + tx + 16];
        ${sum} += vec4f(x0 * y0, x0 * y1, x1 * y0, x1 * y1);
      }
    }`).join('');

const QUARTERS = [0, 1, 2, 3].map((i) => ({ i, row: i < 2 ? 'ty' : 'ty + 16', column: i % 2 === 0 ? 'tx' : 'tx + 16' }));
const THREAD = 'let tx = i32(lane) % 16;\n  let ty = i32(lane) / 16;';
const chunks = (D: number): number => Math.ceil(D / TILE);
const named = (name: string, D: number): string[] => Array.from({ length: chunks(D) }, (_, i) => `${name}${i}`);
const sees = (j: string, t: string): string => `${j} < at.queryLength && ${t} <= behind + ${j} && ${t} > behind + ${j} - P.window`;

export function forward(D: number): Kernel {
  const sums = named('sum', D);
  return {
    name: `attention ${D}`, buffers: { out: 'f32', lse: 'f32', ...INPUTS }, numbers: NUMBERS, threads: 256, shared: `${TILES}${FOUND}`,
    main: `
  ${THREAD}${FIND_TILE}
  var largest = vec2f(${LOWEST});
  var total = vec2f(0.0);
  ${sums.map((sum) => `var ${sum} = vec4f(0.0);`).join(' ')}
  for (var t0 = keysStart; t0 < keysEnd; t0 += ${TILE}) {
    ${products('product', queries('q'), keys('k'))}
    var value: vec4f;
    ${QUARTERS.map(({ i, row, column }) => `value[${i}] = ${LOWEST};
    if (${sees(`(j0 + ${row})`, `(t0 + ${column})`)}) { value[${i}] = score(product[${i}]).x; }
    scores[(${row}) * ${WIDE} + ${column}] = value[${i}];`).join('\n    ')}
    workgroupBarrier();
    var top = largest;
    for (var c = 0; c < ${TILE}; c++) { top = max(top, vec2f(scores[ty * ${WIDE} + c], scores[(ty + 16) * ${WIDE} + c])); }
    let fade = exp(max(largest - top, vec2f(-100.0)));
    largest = top;
    workgroupBarrier();
    ${QUARTERS.map(({ i, row, column }) => `scores[(${row}) * ${WIDE} + ${column}] = select(0.0, exp(max(value[${i}] - top[${i >> 1}], -100.0)), value[${i}] > -1.0e38);`).join('\n    ')}
    workgroupBarrier();
    total *= fade;
    for (var c = 0; c < ${TILE}; c++) { total += vec2f(scores[ty * ${WIDE} + c], scores[(ty + 16) * ${WIDE} + c]); }
    ${sums.map((sum) => `${sum} *= fade.xxyy;`).join(' ')}
    ${weigh(sums, keys('v'), false)}
  }
  ${[0, 1].map((half) => `{
    let j = j0 + ty + ${16 * half};
    if (j < at.queryLength) {
      let row = (at.queryStart + j) * P.H + h;
      if (tx == 0) { lse[row] = largest[${half}] + log(total[${half}]); }
      ${sums.map((sum, chunk) => [0, 1].map((side) => `{ let d = ${chunk * TILE + 16 * side} + tx; if (d < P.D) { out[row * P.D + d] = ${sum}[${2 * half + side}] / total[${half}]; } }`).join('\n      ')).join('\n      ')}
    }
  }`).join('\n  ')}`,
  };
}

/** A workgroup of 64 threads a query and head; a thread has one key of 64 at a time, then some numbers of the answer. */
export function forwardRows(D: number): Kernel {
  const sums = Array.from({ length: Math.ceil(D / 64) }, (_, i) => `sum${i}`);
  return {
    name: `attention_rows ${D}`, buffers: { out: 'f32', lse: 'f32', ...INPUTS }, numbers: NUMBERS, threads: 64,
    reduces: true, shared: `${SEGMENT}${TANH}${FOUND}\nvar<workgroup> query: array<f32, ${D}>;\nvar<workgroup> powers: array<f32, 64>;`,
    main: `
  let h = i32(block) % P.H;
  let head = h / (P.H / P.K);
  let n = i32(block) / P.H;
  if (lane == 0u) {
    found = Found(Segment(0, 0, 0, 0, 0, 0), -1);
    for (var s = 0; s < P.S; s++) {
      let at = segment(s);
      if (n >= at.queryStart && n < at.queryStart + at.queryLength) { found = Found(at, n - at.queryStart); break; }
    }
  }
  let place = workgroupUniformLoad(&found);
  if (place.first < 0) { return; }
  let at = place.at;
  let last = at.prefixLength + at.keyLength - at.queryLength + place.first;
  let row = n * P.H + h;
  for (var d = i32(lane); d < P.D; d += 64) { query[d] = q[row * P.D + d]; }
  var largest = ${LOWEST};
  var total = 0.0;
  ${sums.map((sum) => `var ${sum} = 0.0;`).join(' ')}
  for (var t0 = max(0, last + 1 - P.window); t0 <= last; t0 += 64) {
    workgroupBarrier();
    let t = t0 + i32(lane);
    var value = ${LOWEST};
    if (t <= last) {
      let base = (key_row(at, t) * P.K + head) * P.D;
      var product = 0.0;
      for (var d = 0; d < P.D; d++) { product += query[d] * k[base + d]; }
      value = score(product).x;
    }
    let top = max(largest, max_all(value, lane));
    let fade = exp(max(largest - top, -100.0));
    largest = top;
    var power = 0.0;
    if (t <= last) { power = exp(max(value - top, -100.0)); }
    powers[lane] = power;
    total = total * fade + sum_all(power, lane);
    ${sums.map((sum) => `${sum} *= fade;`).join(' ')}
    for (var i = 0; i < 64 && t0 + i <= last; i++) {
      let base = (key_row(at, t0 + i) * P.K + head) * P.D;
      ${sums.map((sum, chunk) => `{ let d = ${64 * chunk} + i32(lane); if (d < P.D) { ${sum} += powers[i] * v[base + d]; } }`).join('\n      ')}
    }
  }
  if (lane == 0u) { lse[row] = largest + log(total); }
  ${sums.map((sum, chunk) => `{ let d = ${64 * chunk} + i32(lane); if (d < P.D) { out[row * P.D + d] = ${sum} / total; } }`).join('\n  ')}`,
  };
}

/** Of each query and head: the log-sum-exp, and Σ p · dp of the softmax's backward, which is dout · out since out = Σ p · v. */
export const attentionStatistics: Kernel = elementwise({
  name: 'attention_statistics', buffers: { statistics: 'f32', lse: 'f32', dout: 'f32', out: 'f32' }, numbers: { D: 'u32' },
  main: `
  var mean = 0.0;
  for (var d = 0u; d < P.D; d++) { mean += dout[i * P.D + d] * out[i * P.D + d]; }
  statistics[2u * i] = lse[i];
  statistics[2u * i + 1u] = mean;`,
});

/** p and the product's gradient of a quarter, from `product` and `slopes` (dout · v), of query j and key t. */
const undo = (i: number, j: string, t: string): string => `
    var p${i} = 0.0;
    var g${i} = 0.0;
    if (${sees(j, t)}) {
      let row = (at.queryStart + ${j}) * P.H + h;
      let made = score(product[${i}]);
      p${i} = exp(max(made.x - statistics[2 * row], -100.0)); // forward's p = exp(score − lse)
      g${i} = p${i} * (slopes[${i}] - statistics[2 * row + 1]) * made.y; // undoes p = softmax(scores), the cap and the scale
    }`;

export function dQuery(D: number): Kernel {
  const sums = named('sum', D);
  return {
    name: `attention_dq ${D}`, buffers: { dq: 'f32', dout: 'f32', statistics: 'f32', ...INPUTS }, numbers: NUMBERS, threads: 256, shared: `${TILES}${FOUND}`,
    main: `
  ${THREAD}${FIND_TILE}
  ${sums.map((sum) => `var ${sum} = vec4f(0.0);`).join(' ')}
  for (var t0 = keysStart; t0 < keysEnd; t0 += ${TILE}) {
    ${products('product', queries('q'), keys('k'))}
    ${products('slopes', queries('dout'), keys('v'))}
    ${QUARTERS.map(({ i, row, column }) => `${undo(i, `(j0 + ${row})`, `(t0 + ${column})`)}
    scores[(${row}) * ${WIDE} + ${column}] = g${i};`).join('\n    ')}
    ${weigh(sums, keys('k'), false)}
  }
  ${[0, 1].map((half) => `{
    let j = j0 + ty + ${16 * half};
    if (j < at.queryLength) {
      let row = (at.queryStart + j) * P.H + h;
      ${sums.map((sum, chunk) => [0, 1].map((side) => `{ let d = ${chunk * TILE + 16 * side} + tx; if (d < P.D) { dq[row * P.D + d] += ${sum}[${2 * half + side}]; } }`).join('\n      ')).join('\n      ')}
    }
  }`).join('\n  ')}`,
  };
}

/** A workgroup a tile of rows of k and v, and a key/value head. */
export function dkDv(D: number): Kernel {
  const [dks, dvs] = [named('dk_sum', D), named('dv_sum', D)];
  const keyRows = (from: string): string => load('right', from, 'P.K', 'head', 'row0 + r', 'row0 + r >= low && row0 + r < high');
  const queriesRight = (from: string): string => load('right', from, 'P.H', 'h', 'at.queryStart + j0 + r', 'j0 + r < at.queryLength');
  return {
    name: `attention_dkdv ${D}`, buffers: { dk: 'f32', dv: 'f32', dout: 'f32', statistics: 'f32', ...INPUTS }, numbers: NUMBERS, threads: 256,
    shared: `${TILES}\nvar<workgroup> current: Segment;`,
    main: `
  ${THREAD}
  let head = i32(block) % P.K;
  let row0 = i32(block) / P.K * ${TILE};
  ${[...dks, ...dvs].map((sum) => `var ${sum} = vec4f(0.0);`).join(' ')}
  for (var s = 0; s < P.S; s++) {
    workgroupBarrier();
    if (lane == 0u) { current = segment(s); }
    let at = workgroupUniformLoad(&current);
    let behind = at.prefixLength + at.keyLength - at.queryLength;
    for (var side = 0; side < 2; side++) {
      // rows [low, high) of the tile are keys t = row − start of this segment, by its prefix or by its own
      let begin = select(at.keyStart, at.prefixStart, side == 0);
      let start = select(at.keyStart - at.prefixLength, at.prefixStart, side == 0);
      let low = max(row0, begin);
      let high = min(row0 + ${TILE}, begin + select(at.keyLength, at.prefixLength, side == 0));
      if (low >= high) { continue; }
      let firstQuery = max(0, low - start - behind) / ${TILE} * ${TILE};
      let queriesEnd = min(at.queryLength, high - 1 - start + P.window - behind);
      for (var h = head * (P.H / P.K); h < (head + 1) * (P.H / P.K); h++) {
        for (var j0 = firstQuery; j0 < queriesEnd; j0 += ${TILE}) {
    ${products('product', queries('q'), keyRows('k'))}
    ${products('slopes', queries('dout'), keyRows('v'))}
    ${QUARTERS.map(({ i, row, column }) => `let inside${i} = row0 + ${column} >= low && row0 + ${column} < high;
    ${undo(i, `(j0 + ${row})`, `(row0 + ${column} - start)`)}
    scores[(${row}) * ${WIDE} + ${column}] = select(0.0, p${i}, inside${i});`).join('\n    ')}
    ${weigh(dvs, queriesRight('dout'), true)}
    workgroupBarrier();
    ${QUARTERS.map(({ i, row, column }) => `scores[(${row}) * ${WIDE} + ${column}] = select(0.0, g${i}, inside${i});`).join('\n    ')}
    ${weigh(dks, queriesRight('q'), true)}
        }
      }
    }
  }
  ${[0, 1].map((half) => `{
    let row = (row0 + ty + ${16 * half}) * P.K + head;
    ${dks.map((_, chunk) => [0, 1].map((side) => `{ let d = ${chunk * TILE + 16 * side} + tx; let i = row * P.D + d;
      if (d < P.D && i < i32(arrayLength(&dk))) { dk[i] += ${dks[chunk]}[${2 * half + side}]; dv[i] += ${dvs[chunk]}[${2 * half + side}]; } }`).join('\n    ')).join('\n    ')}
  }`).join('\n  ')}`,
  };
}
