/**
 * The naive device: every kernel of device.ts as a few plain loops, kept for ever as the oracle the fast devices answer to.
 * It is not for training: nothing is blocked, fused or parallel. Sums run in f64 and are rounded once, where they are stored.
 * Each backward line names the forward line it undoes. `real` is Float32Array in use; the tests pass Float64Array, so that
 * central differences of these same loops are not drowned by rounding.
 */
import { dequantizeQ80, Q8_0_BLOCK, Q8_0_BYTES, quantizeQ80 } from '../formats/q8-0.ts';
import { bytesToKeep, isBlockStorage, weightBlocks } from '../formats/weight-blocks.ts';
import { type Activation, BLOCK_NUMBERS, type Device, type Group, type HostArray, type Storage, type Tensor } from './device.ts';
import { dropoutMask } from './dropout-mask.ts';
import { createExpertKernels } from './reference-experts.ts';
import { createFamilyKernels } from './reference-families.ts';

export type Reals = Float32Array | Float64Array;

/** A tensor of this device, open to tests: bf16 is held as its raw bits, q8_0 as ggml's bytes, blocks as theirs. */
export type ReferenceTensor = Tensor & { data: Reals | Int32Array | Uint16Array | Uint8Array | null };

/** The data behind a tensor of one of the storages asked for, else a sentence. */
function dataOf(x: Tensor, ...allowed: Storage[]): Reals | Int32Array | Uint16Array | Uint8Array {
  const data = (x as ReferenceTensor).data;
  if (data === null) throw new Error(`reference device: a freed ${x.storage} tensor of ${x.length} elements was used.`);
  if (!allowed.includes(x.storage)) throw new Error(`reference device: a tensor is ${x.storage} where ${allowed.join(' or ')} is needed.`);
  return data;
}
export const f32 = (x: Tensor): Reals => dataOf(x, 'f32') as Reals;
export const i32 = (x: Tensor): Int32Array => dataOf(x, 'i32') as Int32Array;

/** First row of a group and the one after its last; of all N without one. */
const rowsOf = (group: Group | undefined, N: number): [number, number] => (group ? [i32(group.bounds)[group.at], i32(group.bounds)[group.at + 1]] : [0, N]);

/** A weight as reals, whatever it is stored as: bf16 is the upper half of an f32. */
function weights(x: Tensor): Reals {
  const data = dataOf(x, 'f32', 'bf16', 'int8', 'q4_0', 'nf4');
  if (isBlockStorage(x.storage)) return weightBlocks(x.storage).dequantize(data as Uint8Array, x.length);
  if (x.storage === 'f32') return data as Reals;
  const bits = new Uint32Array(x.length);
  for (let i = 0; i < bits.length; i++) bits[i] = data[i] << 16;
  return new Float32Array(bits.buffer);
}

/** The same, of a kernel that reads q8_0 too. */
const anyWeights = (x: Tensor): Reals => (x.storage === 'q8_0' ? dequantizeQ80(dataOf(x, 'q8_0') as Uint8Array) : weights(x));

/** What products with q8_0 make of their other side: blocks rounded to bytes times a scale, halves to even. */
function roundedToBytes(x: Reals, n: number): Float64Array {
  const out = new Float64Array(n);
  for (let start = 0; start < n; start += Q8_0_BLOCK) {
    let max = 0;
    for (let i = start; i < start + Q8_0_BLOCK; i++) max = Math.max(max, Math.abs(x[i]));
    const d = Math.fround(max / 127);
    const inverse = d === 0 ? 0 : Math.fround(1 / d);
    for (let i = start; i < start + Q8_0_BLOCK; i++) out[i] = d * roundHalfToEven(Math.fround(x[i] * inverse));
  }
  return out;
}

function roundHalfToEven(x: number): number {
  const below = Math.floor(x), rest = x - below;
  return rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1;
}

/** f32 → the 16 bits of bf16, to nearest, ties to even; a NaN stays one. */
function bf16Bits(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < out.length; i++) {
    out[i] = Number.isNaN(values[i]) ? (bits[i] >>> 16) | 0x40 : (bits[i] + 0x7fff + ((bits[i] >>> 16) & 1)) >>> 16;
  }
  return out;
}

export function dot(a: Reals, aStart: number, b: Reals, bStart: number, n: number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += a[aStart + i] * b[bStart + i];
  return sum;
}

/** log Σ exp(x), shifted by the largest so that nothing overflows. */
export function logSumExp(x: Float64Array): number {
  let max = -Infinity;
  for (const value of x) max = Math.max(max, value);
  let sum = 0;
  for (const value of x) sum += Math.exp(value - max);
  return max + Math.log(sum);
}

/** act(x) and its derivative. */
export function activate(x: number, activation: Activation): { value: number; slope: number } {
  if (activation === 'silu') {
    const sigmoid = 1 / (1 + Math.exp(-x));
    return { value: x * sigmoid, slope: sigmoid * (1 + x * (1 - sigmoid)) };
  }
  const c = Math.sqrt(2 / Math.PI);
  const tanh = Math.tanh(c * (x + 0.044715 * x ** 3));
  return { value: 0.5 * x * (1 + tanh), slope: 0.5 * (1 + tanh) + 0.5 * x * (1 - tanh * tanh) * c * (1 + 3 * 0.044715 * x * x) };
}

export function createReferenceDevice(real: Float32ArrayConstructor | Float64ArrayConstructor = Float32Array): Device {
  let bytes = 0;
  let peakBytes = 0;
  const families = createFamilyKernels();

  return {
    name: 'reference',
    description: 'reference, plain TypeScript, 1 thread (slow: for tests)',

    // ── memory ──────────────────────────────────────────────────────────────────────────────────────────────────────
    alloc(length, storage = 'f32') {
      if (storage === 'q8_0' && length % Q8_0_BLOCK !== 0) throw new Error(`alloc: q8_0 comes in blocks of ${Q8_0_BLOCK}, got ${length} elements.`);
      if (isBlockStorage(storage) && length % BLOCK_NUMBERS[storage] !== 0) throw new Error(`alloc: ${storage} comes in blocks of ${BLOCK_NUMBERS[storage]}, got ${length} elements.`);
      const make = { f32: real, bf16: Uint16Array, i32: Int32Array, q8_0: Uint8Array, int8: Uint8Array, q4_0: Uint8Array, nf4: Uint8Array }[storage];
      const items = storage === 'q8_0' ? (length / Q8_0_BLOCK) * Q8_0_BYTES : isBlockStorage(storage) ? weightBlocks(storage).bytes(length) : length;
      let data: ReferenceTensor['data'];
      try {
        data = new make(items);
      } catch {
        throw new Error(`reference device: out of memory, ${items * make.BYTES_PER_ELEMENT} bytes asked for with ${bytes} in use.`);
      }
      bytes += data.byteLength;
      peakBytes = Math.max(peakBytes, bytes);
      return { storage, length, data } as ReferenceTensor;
    },

    free(x) {
      bytes -= dataOf(x, 'f32', 'bf16', 'i32', 'q8_0', 'int8', 'q4_0', 'nf4').byteLength;
      (x as ReferenceTensor).data = null;
    },

    view(x, offset, length, storage = 'f32') {
      const data = dataOf(x, 'f32', storage === 'i32' ? 'i32' : 'f32');
      if (offset + length > x.length) throw new Error(`view: ${length} elements at ${offset} lie outside a tensor of ${x.length}.`);
      const make = storage === 'i32' ? Int32Array : real;
      return { storage, length, data: new make(data.buffer as ArrayBuffer, data.byteOffset + offset * data.BYTES_PER_ELEMENT, length) } as ReferenceTensor;
    },

    memory() {
      return { bytes, peakBytes };
    },

    write(x, data, offset = 0) {
      if (isBlockStorage(x.storage)) return (dataOf(x, x.storage) as Uint8Array).set(bytesToKeep(x.storage, x.length, data, offset));
      const target = dataOf(x, 'f32', 'bf16', 'i32');
      const given = x.storage === 'bf16' && data instanceof Float32Array ? bf16Bits(data) : data;
      const fits = x.storage === 'bf16' ? Uint16Array : x.storage === 'i32' ? Int32Array : Float32Array;
      if (!(given instanceof fits)) throw new Error(`write: ${data.constructor.name} does not fit a tensor of ${x.storage}.`);
      if (offset < 0 || offset + given.length > x.length) {
        throw new Error(`write: ${given.length} elements at ${offset} do not fit a tensor of ${x.length}.`);
      }
      target.set(given, offset);
    },

    async read(x, offset = 0, length = x.length - offset) {
      const data = dataOf(x, 'f32', 'bf16', 'i32');
      if (offset < 0 || length < 0 || offset + length > x.length) {
        throw new Error(`read: ${length} elements at ${offset} lie outside a tensor of ${x.length}.`);
      }
      const part = data.slice(offset, offset + length);
      return part instanceof Float64Array ? Float32Array.from(part) : (part as HostArray);
    },

    // ── plain vectors ───────────────────────────────────────────────────────────────────────────────────────────────
    fill(x, value, n) {
      const data = dataOf(x, 'f32', 'bf16', 'i32');
      data.fill(x.storage === 'bf16' ? bf16Bits(Float32Array.of(value))[0] : value, 0, n);
    },

    copy(out, outOffset, x, xOffset, n) {
      f32(out).set(f32(x).subarray(xOffset, xOffset + n), outOffset);
    },

    axpy(out, x, alpha, n) {
      const [o, a] = [f32(out), f32(x)];
      for (let i = 0; i < n; i++) o[i] += alpha * a[i];
    },

    sumSquares(out, outIndex, x, n) {
      f32(out)[outIndex] = dot(f32(x), 0, f32(x), 0, n);
    },

    dropout(out, x, n, p, seed) {
      const [o, a] = [f32(out), f32(x)];
      const kept = dropoutMask(n, p, seed);
      for (let i = 0; i < n; i++) o[i] = kept[i] ? a[i] / (1 - p) : 0;
    },

    // ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────────
    gatherRows(out, table, index, N, C) {
      const [o, t, at] = [f32(out), anyWeights(table), i32(index)];
      for (let n = 0; n < N; n++) for (let c = 0; c < C; c++) o[n * C + c] = t[at[n] * C + c];
    },

    scatterAddRows(table, rows, index, N, C) {
      const [t, r, at] = [f32(table), f32(rows), i32(index)];
      for (let n = 0; n < N; n++) for (let c = 0; c < C; c++) t[at[n] * C + c] += r[n * C + c]; // undoes out = table[index]
    },

    // ── linear ──────────────────────────────────────────────────────────────────────────────────────────────────────
    quantize(w, x, O, I) {
      (dataOf(w, 'q8_0') as Uint8Array).set(quantizeQ80(Float32Array.from(f32(x).subarray(0, O * I))));
    },

    linear(out, x, w, bias, N, I, O, alpha, beta, group) {
      const [y, b, c] = [f32(out), anyWeights(w), bias && f32(bias)];
      const a = w.storage === 'q8_0' ? roundedToBytes(f32(x), N * I) : f32(x);
      const [from, to] = rowsOf(group, N);
      for (let n = from; n < to; n++) {
        for (let o = 0; o < O; o++) {
          const old = beta === 0 ? 0 : beta * y[n * O + o];
          y[n * O + o] = old + alpha * dot(a, n * I, b, o * I, I) + (c ? c[o] : 0);
        }
      }
    },

    linearBackwardInput(dx, dout, w, N, I, O, alpha, beta, group) {
      const [da, dy, b] = [f32(dx), f32(dout), weights(w)];
      const [from, to] = rowsOf(group, N);
      for (let n = from; n < to; n++) {
        for (let i = 0; i < I; i++) {
          let sum = 0;
          for (let o = 0; o < O; o++) sum += dy[n * O + o] * b[o * I + i]; // undoes, through x: out = alpha · x · wᵀ
          da[n * I + i] = (beta === 0 ? 0 : beta * da[n * I + i]) + alpha * sum;
        }
      }
    },

    linearBackwardWeight(dw, dout, x, N, I, O, alpha, beta, group) {
      const [db, dy, a] = [f32(dw), f32(dout), f32(x)];
      const [from, to] = rowsOf(group, N);
      for (let o = 0; o < O; o++) {
        for (let i = 0; i < I; i++) {
          let sum = 0;
          for (let n = from; n < to; n++) sum += dy[n * O + o] * a[n * I + i]; // undoes, through w: out = alpha · x · wᵀ
          db[o * I + i] = (beta === 0 ? 0 : beta * db[o * I + i]) + alpha * sum;
        }
      }
    },

    linearBackwardBias(dbias, dout, N, O) {
      const [dc, dy] = [f32(dbias), f32(dout)];
      for (let o = 0; o < O; o++) {
        let sum = 0;
        for (let n = 0; n < N; n++) sum += dy[n * O + o]; // undoes: out += bias
        dc[o] += sum;
      }
    },

    // ── a layer's parts ─────────────────────────────────────────────────────────────────────────────────────────────
    rmsNorm(out, rstd, x, weight, N, C, eps) {
      const [y, r, a, w] = [f32(out), f32(rstd), f32(x), f32(weight)];
      for (let n = 0; n < N; n++) {
        const scale = 1 / Math.sqrt(dot(a, n * C, a, n * C, C) / C + eps);
        r[n] = scale;
        for (let c = 0; c < C; c++) y[n * C + c] = a[n * C + c] * scale * w[c];
      }
    },

    rmsNormBackward(dx, dweight, dout, x, weight, rstd, N, C) {
      const [da, dw, dy, a, w, r] = [f32(dx), dweight && f32(dweight), f32(dout), f32(x), f32(weight), f32(rstd)];
      for (let n = 0; n < N; n++) {
        let dScale = 0;
        for (let c = 0; c < C; c++) dScale += dy[n * C + c] * w[c] * a[n * C + c]; // undoes, through rstd: out = x · rstd · weight
        for (let c = 0; c < C; c++) {
          // undoes out = x · rstd · weight through x, and rstd = (Σ x² / C + eps)^(−1/2), whose slope by x is −rstd³ · x / C
          da[n * C + c] += dy[n * C + c] * w[c] * r[n] - (dScale * r[n] ** 3 * a[n * C + c]) / C;
        }
      }
      if (!dw) return;
      for (let c = 0; c < C; c++) {
        let sum = 0;
        for (let n = 0; n < N; n++) sum += dy[n * C + c] * a[n * C + c] * r[n]; // undoes, through weight: out = x · rstd · weight
        dw[c] += sum;
      }
    },

    rope(x, cosSin, positions, N, H, D, R, direction) {
      const [a, table, at] = [f32(x), f32(cosSin), i32(positions)];
      const half = R / 2;
      for (let n = 0; n < N; n++) {
        for (let h = 0; h < H; h++) {
          for (let d = 0; d < half; d++) {
            const cos = table[at[n] * R + d];
            const sin = direction * table[at[n] * R + half + d]; // backward turns by the negative angle: the transpose of the rotation
            const i = (n * H + h) * D + d;
            const [first, second] = [a[i], a[i + half]];
            a[i] = first * cos - second * sin;
            a[i + half] = second * cos + first * sin;
          }
        }
      }
    },

    attention: (out, lse, q, k, v, segments, S, H, K, D, scale) => families.localAttention(out, lse, q, k, v, segments, S, H, K, D, scale, 0, 0),
    attentionBackward: (dq, dk, dv, dout, out, lse, q, k, v, segments, S, H, K, D, scale) =>
      families.localAttentionBackward(dq, dk, dv, dout, out, lse, q, k, v, segments, S, H, K, D, scale, 0, 0),

    gatedActivation(out, gate, up, n, activation) {
      const [y, g, u] = [f32(out), f32(gate), f32(up)];
      for (let i = 0; i < n; i++) y[i] = activate(g[i], activation).value * u[i];
    },

    gatedActivationBackward(dgate, dup, dout, gate, up, n, activation) {
      const [dg, du, dy, g, u] = [f32(dgate), f32(dup), f32(dout), f32(gate), f32(up)];
      for (let i = 0; i < n; i++) {
        const { value, slope } = activate(g[i], activation);
        const d = dy[i]; // read before it is written: dout may be dgate or dup
        dg[i] = d * slope * u[i]; // undoes, through gate: out = act(gate) · up
        du[i] = d * value; // undoes, through up: out = act(gate) · up
      }
    },

    logprob(logprobs, lse, entropy, best, _kept, x, w, targets, M, C, V) {
      const [lp, l, a, b, at] = [f32(logprobs), f32(lse), f32(x), weights(w), i32(targets)];
      const logits = new Float64Array(V);
      for (let m = 0; m < M; m++) {
        for (let v = 0; v < V; v++) logits[v] = dot(a, m * C, b, v * C, C);
        const logSum = logSumExp(logits);
        l[m] = logSum;
        lp[m] = logits[at[m]] - logSum;
        if (entropy) f32(entropy)[m] = logSum - logits.reduce((sum, logit) => sum + Math.exp(logit - logSum) * logit, 0);
        if (best) i32(best)[m] = logits.indexOf(logits.reduce((max, logit) => Math.max(max, logit), -Infinity));
      }
    },

    logprobBackward(dx, dw, _kept, dlogprobs, x, w, targets, lse, M, C, V, beta) {
      const [da, db, dlp, a, b, at, l] = [f32(dx), dw && f32(dw), f32(dlogprobs), f32(x), weights(w), i32(targets), f32(lse)];
      for (let i = 0; db && i < V * C; i++) db[i] = beta === 0 ? 0 : beta * db[i];
      for (let m = 0; m < M; m++) {
        const dxRow = new Float64Array(C);
        for (let v = 0; v < V; v++) {
          const p = Math.exp(dot(a, m * C, b, v * C, C) - l[m]);
          const dLogit = dlp[m] * ((v === at[m] ? 1 : 0) - p); // undoes: logprob = logit[target] − lse
          for (let c = 0; c < C; c++) {
            dxRow[c] += dLogit * b[v * C + c]; // undoes, through x: logit = x · w
            if (db) db[v * C + c] += dLogit * a[m * C + c]; // undoes, through w: logit = x · w
          }
        }
        da.set(dxRow, m * C);
      }
    },

    ...families,
    ...createExpertKernels(),

    // ── optimiser ───────────────────────────────────────────────────────────────────────────────────────────────────
    adamw(w, grad, m, v, n, lr, beta1, beta2, eps, weightDecay, step, gradScale) {
      const [p, g, first, second] = [f32(w), f32(grad), f32(m), f32(v)];
      const correction1 = 1 - beta1 ** step;
      const correction2 = 1 - beta2 ** step;
      for (let i = 0; i < n; i++) {
        const d = gradScale * g[i];
        first[i] = beta1 * first[i] + (1 - beta1) * d;
        second[i] = beta2 * second[i] + (1 - beta2) * d * d;
        const decayed = p[i] - lr * weightDecay * p[i];
        p[i] = decayed - (lr * (first[i] / correction1)) / (Math.sqrt(second[i] / correction2) + eps);
      }
    },
  };
}
