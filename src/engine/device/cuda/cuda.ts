/**
 * The CUDA device: device.ts's kernels on an NVIDIA GPU (native/cuda/), in order on one stream; nothing waits but `read`. As `cuda` it multiplies f32 as
 * f32, as `cuda-bf16` it rounds every number to bf16 as it is multiplied (linear layers, the head, attention) and sums in f32: faster, and less exact.
 * No sum uses atomics: same inputs give the same bits on the same card. Indices are checked on the GPU, and what is wrong comes out of the next `read`.
 */
import type { Activation, Device, PlainActivation, Storage, Tensor } from '../device.ts';
import { mix } from '../dropout-mask.ts';
import { isBlockStorage } from '../../formats/weight-blocks.ts';
import { createAttention } from './attention.ts';
import { openCublasLt } from './cublas-lt.ts';
import { type CudaTensor, type Gpu, openGpu } from './driver.ts';
import { createExperts } from './experts.ts';
import { boundsOf, createProducts, type Matrix, type Precision } from './products.ts';

/** As native/cuda/activation.cu numbers them. */
const ACTIVATIONS = { silu: 0, gelu_pytorch_tanh: 1, gelu: 2, sigmoid: 3 };
const PRECISIONS = { cuda: 'exact', 'cuda-bf16': 'rounded' } satisfies Record<string, Precision>;
export type CudaName = keyof typeof PRECISIONS;
/** Elements whose squares one block adds. */
const SQUARES = 2 ** 16;

/** What tests look at besides. */
export type CudaDevice = Device & Pick<Gpu, 'driverCalls'>;

/**
 * `cublasLt`: the path of its library, for `cuda-bf16`; `none` for own kernels, empty to look for it. `driver`: another library in the driver's place, for
 * tests, beside which no cuBLASLt is looked for. `piece`: launches that go to the driver together, for tests.
 */
export function createCudaDevice(name: CudaName, driver?: string, cublasLt = driver ? 'none' : '', piece?: number): CudaDevice {
  const gpu = openGpu(name, driver, piece);
  const precision = PRECISIONS[name];
  const library = precision === 'rounded' ? openCublasLt(gpu, cublasLt) : null;
  const products = createProducts(gpu, precision, library);
  const attention = createAttention(gpu, precision);
  const { properties, fault } = gpu;

  const f32 = (x: Tensor, what: string, n: number): number => gpu.need(x, what, n, 'f32');
  const i32 = (x: Tensor, what: string, n: number): number => gpu.need(x, what, n, 'i32');
  function weight(x: Tensor, what: string, n: number): Matrix {
    const matrix = { address: gpu.need(x, what, n, 'f32', 'bf16', 'int8', 'q4_0', 'nf4'), storage: x.storage as Matrix['storage'] };
    // where scales lie follows from how many numbers there are
    if (isBlockStorage(x.storage) && x.length !== n) throw new Error(`${what}: expected a matrix of ${n} numbers in ${x.storage}, got ${x.length}`);
    return matrix;
  }
  const maybe = (x: Tensor | null, get: (x: Tensor) => number): number | null => (x === null ? null : get(x));
  /** Warps of 32 threads, four a block, one an item. */
  const warps = (kernel: string, n: number, args: (number | null)[]): void => {
    if (n > 0) gpu.launch(kernel, [Math.ceil(n / 4)], 128, args);
  };
  const columnSums = (sums: number, dout: number, x: number | null, mean: number | null, rstd: number | null, N: number, C: number): void => {
    if (N > 0) gpu.launch('column_sums', [Math.ceil(C / 32)], 256, [sums, dout, x, mean, rstd, N, C]);
  };
  function activationOf(kernel: string, activation: Activation | PlainActivation, ...allowed: string[]): number {
    if (!allowed.includes(activation)) throw new Error(`${kernel}: activation: expected ${allowed.join(' or ')}, got ${activation}`);
    return ACTIVATIONS[activation];
  }
  const gate = (kernel: string, activation: Activation): number => activationOf(kernel, activation, 'silu', 'gelu_pytorch_tanh');
  const plain = (kernel: string, activation: PlainActivation): number => activationOf(kernel, activation, 'gelu', 'gelu_pytorch_tanh', 'sigmoid');
  /** Of a q8_0 tensor: its bytes, and after all of them its scales. */
  const blocks = (x: Tensor, what: string, rows: number, columns: number): [bytes: number, scales: number] => {
    if (columns % 32 !== 0) throw new Error(`${what}: q8_0 rows are a multiple of 32 long, got ${columns}`);
    const address = gpu.need(x, what, rows * columns, 'q8_0');
    return [address, address + x.length];
  };
  const opaque = (x: Tensor, kernel: string, ...storages: Storage[]): CudaTensor => {
    gpu.need(x, `${kernel}: x`, 0, ...storages);
    return x as CudaTensor;
  };
  const plainStorage = (x: Tensor, kernel: string): CudaTensor => opaque(x, kernel, 'f32', 'bf16', 'i32');

  return {
    name,
    get description() {
      const what = library ? `bf16 products by ${library.describe()}, f32 sums` : 'f32 products';
      return `${name}, ${properties.name} (compute capability ${properties.capability}), driver for CUDA ${properties.driverVersion}, ${what}`;
    },

    memoryBytes: properties.memoryBytes,

    alloc: (length, storage: Storage = 'f32', growing) => gpu.alloc(length, storage, growing),
    forget: (x, offset, n) => gpu.forget(x, offset, n),
    free: (x) => gpu.free(x),
    view: (x, offset, length, storage: Storage = 'f32') => gpu.view(x, offset, length, storage),
    memory: () => gpu.memory(),
    driverCalls: () => gpu.driverCalls(),
    write(x, data, offset = 0) {
      if (isBlockStorage(x.storage)) return gpu.write(opaque(x, 'write', x.storage), data, offset);
      const to = plainStorage(x, 'write');
      if (x.storage === 'bf16' && data instanceof Float32Array) {
        if (offset < 0 || offset + data.length > x.length) throw new Error(`write: ${data.length} elements at ${offset} do not fit a tensor of ${x.length}`);
        const given = gpu.alloc(data.length, 'f32');
        gpu.write(given, data, 0);
        gpu.each('narrow_all', data.length, [to.address + 2 * offset, given.address, data.length]);
        return gpu.free(given);
      }
      const fits = { f32: Float32Array, bf16: Uint16Array, i32: Int32Array }[x.storage as 'f32'];
      if (!(data instanceof fits)) throw new Error(`write: data: a tensor of ${x.storage} takes a ${fits.name}`);
      gpu.write(to, data, offset);
    },
    // eslint-disable-next-line @typescript-eslint/require-await -- device.ts's reads are promises; this one has waited
    async read(x, offset = 0, length = x.length - offset) {
      return gpu.read(plainStorage(x, 'read'), offset, length);
    },

    fill(x, value, n) {
      const address = gpu.need(x, 'fill: x', n, 'f32', 'bf16', 'i32');
      const bits = new Uint32Array((x.storage === 'i32' ? Int32Array.of(value) : Float32Array.of(value)).buffer)[0];
      if (x.storage !== 'bf16') return gpu.each('fill32', n, [address, bits, n]);
      const narrowed = Number.isNaN(value) ? 0x7fc0 : (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
      gpu.each('fill16', n, [address, narrowed, n]);
    },
    copy: (out, outOffset, x, xOffset, n) =>
      gpu.copy(f32(out, 'copy: out', outOffset + n) + 4 * outOffset, f32(x, 'copy: x', xOffset + n) + 4 * xOffset, n),
    axpy: (out, x, alpha, n) => gpu.each('axpy', n, [f32(out, 'axpy: out', n), f32(x, 'axpy: x', n), alpha, n]),
    sumSquares(out, outIndex, x, n) {
      const count = Math.max(1, Math.ceil(n / SQUARES));
      gpu.scratch(8 * count, (partial) => {
        gpu.launch('square_sums', [count], 256, [partial, f32(x, 'sumSquares: x', n), n, SQUARES]);
        gpu.launch('add_square_sums', [1], 256, [f32(out, 'sumSquares: out', outIndex + 1) + 4 * outIndex, partial, count]);
      });
    },
    dropout(out, x, n, p, seed) {
      if (!(p >= 0 && p < 1)) throw new Error(`dropout: p: expected 0 ≤ p < 1, got ${p}`);
      gpu.each('dropout', n, [f32(out, 'dropout: out', n), f32(x, 'dropout: x', n), n, mix(seed), Math.ceil(p * 2 ** 24), 1 / (1 - p)]);
    },

    gatherRows(out, table, index, N, C) {
      const [to, at, rows] = [f32(out, 'gatherRows: out', N * C), i32(index, 'gatherRows: index', N), Math.floor(table.length / C)];
      if (N === 0) return;
      if (table.storage === 'q8_0') return gpu.launch('gather_q8_0', [N], 128, [to, ...blocks(table, 'gatherRows: table', 0, C), at, C, rows, fault]);
      const { address, storage } = weight(table, 'gatherRows: table', rows * C);
      gpu.launch(`gather_${storage}`, [N], 128, [to, address, at, C, rows, fault]);
    },
    scatterAddRows(table, rows, index, N, C) {
      const args = [f32(table, 'scatterAddRows: table', 0), f32(rows, 'scatterAddRows: rows', N * C), i32(index, 'scatterAddRows: index', N)];
      if (N > 0) gpu.launch('scatter_add', [N], 128, [...args, N, C, Math.floor(table.length / C), fault]);
    },

    quantize: (w, x, O, I) => warps('quantize_weight', (O * I) / 32, [...blocks(w, 'quantize: w', O, I), f32(x, 'quantize: x', O * I), (O * I) / 32]),
    linear(out, x, w, bias, N, I, O, alpha, beta, group) {
      const [to, from, offset] = [f32(out, 'linear: out', N * O), f32(x, 'linear: x', N * I), maybe(bias, (b) => f32(b, 'linear: bias', O))];
      if (w.storage !== 'q8_0') return products.forward(to, from, weight(w, 'linear: w', O * I), offset, N, I, O, alpha, beta, group);
      const [bytes, scales] = blocks(w, 'linear: w', O, I);
      if (N === 0) return;
      gpu.scratch(N * I + (N * I) / 8, (rounded) => {
        const roundedScales = rounded + N * I; // a float for each 32 bytes
        warps('quantize_rows', (N * I) / 32, [rounded, roundedScales, from, (N * I) / 32]);
        warps('linear_q8_0', O, [to, rounded, roundedScales, bytes, scales, offset, N, I, O, alpha, beta, boundsOf(gpu, group)]);
      });
    },
    linearBackwardInput: (dx, dout, w, N, I, O, alpha, beta, group) =>
      products.input(f32(dx, 'linearBackwardInput: dx', N * I), f32(dout, 'linearBackwardInput: dout', N * O), weight(w, 'linearBackwardInput: w', O * I), N, I, O, alpha, beta, group),
    linearBackwardWeight: (dw, dout, x, N, I, O, alpha, beta, group) =>
      products.weight(f32(dw, 'linearBackwardWeight: dw', O * I), f32(dout, 'linearBackwardWeight: dout', N * O), f32(x, 'linearBackwardWeight: x', N * I), N, I, O, alpha, beta, group),
    linearBackwardBias: (dbias, dout, N, O) => columnSums(f32(dbias, 'linearBackwardBias: dbias', O), f32(dout, 'linearBackwardBias: dout', N * O), null, null, null, N, O),

    rmsNorm: (out, rstd, x, w, N, C, eps) =>
      warps('rms_norm', N, [f32(out, 'rmsNorm: out', N * C), f32(rstd, 'rmsNorm: rstd', N), f32(x, 'rmsNorm: x', N * C), f32(w, 'rmsNorm: weight', C), N, C, eps]),
    rmsNormBackward(dx, dweight, dout, x, w, rstd, N, C) {
      const of = (t: Tensor, what: string, n: number): number => f32(t, `rmsNormBackward: ${what}`, n);
      const [d, input, scale] = [of(dout, 'dout', N * C), of(x, 'x', N * C), of(rstd, 'rstd', N)];
      if (dweight) columnSums(of(dweight, 'dweight', C), d, input, null, scale, N, C); // undoes, through weight: out = x · rstd · weight
      warps('rms_norm_backward', N, [of(dx, 'dx', N * C), d, input, of(w, 'weight', C), scale, N, C]);
    },
    rope(x, cosSin, positions, N, H, D, R, direction) {
      const pairs = N * H * (R / 2);
      const args = [f32(x, 'rope: x', N * H * D), f32(cosSin, 'rope: cosSin', 0), i32(positions, 'rope: positions', N)];
      gpu.each('rope', pairs, [...args, pairs, H, D, R, direction, Math.floor(cosSin.length / R), fault]);
    },
    attention: (out, lse, q, k, v, segments, S, H, K, D, scale) => attention.forward('attention', out, lse, q, k, v, segments, { S, H, K, D, scale, window: 0, cap: 0 }),
    attentionBackward: (dq, dk, dv, dout, out, lse, q, k, v, segments, S, H, K, D, scale) =>
      attention.backward('attentionBackward', dq, dk, dv, dout, out, lse, q, k, v, segments, { S, H, K, D, scale, window: 0, cap: 0 }),
    gatedActivation(out, gateOf, up, n, activation) {
      const of = (t: Tensor, what: string): number => f32(t, `gatedActivation: ${what}`, n);
      gpu.each('gated_activation', n, [of(out, 'out'), of(gateOf, 'gate'), of(up, 'up'), n, gate('gatedActivation', activation)]);
    },
    gatedActivationBackward(dgate, dup, dout, gateOf, up, n, activation) {
      const of = (t: Tensor, what: string): number => f32(t, `gatedActivationBackward: ${what}`, n);
      gpu.each('gated_activation_backward', n, [of(dgate, 'dgate'), of(dup, 'dup'), of(dout, 'dout'), of(gateOf, 'gate'), of(up, 'up'), n, gate('gatedActivationBackward', activation)]);
    },
    logprob(logprobs, lse, entropy, best, kept, x, w, targets, M, C, V) {
      const of = (t: Tensor, what: string, n: number): number => f32(t, `logprob: ${what}`, n);
      products.logprob(
        of(logprobs, 'logprobs', M), of(lse, 'lse', M), maybe(entropy, (t) => of(t, 'entropy', M)), maybe(best, (t) => i32(t, 'logprob: best', M)), kept,
        of(x, 'x', M * C), weight(w, 'logprob: w', V * C), i32(targets, 'logprob: targets', M), M, C, V,
      );
    },
    logprobBackward(dx, dw, kept, dlogprobs, x, w, targets, lse, M, C, V, beta) {
      const of = (t: Tensor, what: string, n: number): number => f32(t, `logprobBackward: ${what}`, n);
      products.logprobBackward(
        of(dx, 'dx', M * C), maybe(dw, (t) => of(t, 'dw', V * C)), kept, of(dlogprobs, 'dlogprobs', M), of(x, 'x', M * C),
        weight(w, 'logprobBackward: w', V * C), i32(targets, 'logprobBackward: targets', M), of(lse, 'lse', M), M, C, V, beta,
      );
    },

    layerNorm(out, mean, rstd, x, w, bias, N, C, eps) {
      const of = (t: Tensor, what: string, n: number): number => f32(t, `layerNorm: ${what}`, n);
      warps('layer_norm', N, [of(out, 'out', N * C), of(mean, 'mean', N), of(rstd, 'rstd', N), of(x, 'x', N * C), of(w, 'weight', C), of(bias, 'bias', C), N, C, eps]);
    },
    layerNormBackward(dx, dweight, dbias, dout, x, w, mean, rstd, N, C) {
      const of = (t: Tensor, what: string, n: number): number => f32(t, `layerNormBackward: ${what}`, n);
      const [d, input, centre, scale] = [of(dout, 'dout', N * C), of(x, 'x', N * C), of(mean, 'mean', N), of(rstd, 'rstd', N)];
      if (dweight) columnSums(of(dweight, 'dweight', C), d, input, centre, scale, N, C); // undoes, through weight: out = (x − mean) · rstd · weight + bias
      if (dbias) columnSums(of(dbias, 'dbias', C), d, null, null, null, N, C); // undoes: + bias
      warps('layer_norm_backward', N, [of(dx, 'dx', N * C), d, input, of(w, 'weight', C), centre, scale, N, C]);
    },
    activation: (out, x, n, activation) => gpu.each('activation', n, [f32(out, 'activation: out', n), f32(x, 'activation: x', n), n, plain('activation', activation)]),
    activationBackward(dx, dout, x, n, activation) {
      const of = (t: Tensor, what: string): number => f32(t, `activationBackward: ${what}`, n);
      gpu.each('activation_backward', n, [of(dx, 'dx'), of(dout, 'dout'), of(x, 'x'), n, plain('activationBackward', activation)]);
    },
    copyColumns(out, outOffset, outStride, x, xOffset, xStride, rows, width, add) {
      const end = (offset: number, stride: number): number => (rows > 0 ? offset + (rows - 1) * stride + width : offset);
      const [to, from] = [f32(out, 'copyColumns: out', end(outOffset, outStride)), f32(x, 'copyColumns: x', end(xOffset, xStride))];
      gpu.each('copy_columns', rows * width, [to + 4 * outOffset, outStride, from + 4 * xOffset, xStride, rows, width, add]);
    },
    localAttention: (out, lse, q, k, v, segments, S, H, K, D, scale, window, cap) =>
      attention.forward('localAttention', out, lse, q, k, v, segments, { S, H, K, D, scale, window, cap }),
    localAttentionBackward: (dq, dk, dv, dout, out, lse, q, k, v, segments, S, H, K, D, scale, window, cap) =>
      attention.backward('localAttentionBackward', dq, dk, dv, dout, out, lse, q, k, v, segments, { S, H, K, D, scale, window, cap }),
    cappedLogprob(logprobs, lse, entropy, best, logits, targets, M, V, cap) {
      const of = (t: Tensor, what: string, n: number): number => f32(t, `cappedLogprob: ${what}`, n);
      const results = [of(logprobs, 'logprobs', M), of(lse, 'lse', M), maybe(entropy, (t) => of(t, 'entropy', M)), maybe(best, (t) => i32(t, 'cappedLogprob: best', M))];
      if (M > 0) gpu.launch('logprob_rows', [M], 256, [...results, of(logits, 'logits', M * V), i32(targets, 'cappedLogprob: targets', M), V, cap, fault]);
    },
    cappedLogprobBackward(logits, dlogprobs, targets, lse, M, V, cap) {
      const of = (t: Tensor, what: string, n: number): number => f32(t, `cappedLogprobBackward: ${what}`, n);
      const args = [of(logits, 'logits', M * V), of(dlogprobs, 'dlogprobs', M), i32(targets, 'cappedLogprobBackward: targets', M), of(lse, 'lse', M)];
      gpu.each('logprob_backward_rows', M * V, [...args, M, V, cap]);
    },

    ...createExperts(gpu),

    adamw(w, grad, m, v, n, lr, beta1, beta2, eps, weightDecay, step, gradScale) {
      const of = (t: Tensor, what: string): number => f32(t, `adamw: ${what}`, n);
      const [decay, rate, root] = [1 - lr * weightDecay, lr / (1 - beta1 ** step), 1 / Math.sqrt(1 - beta2 ** step)];
      gpu.each('adamw', n, [of(w, 'w'), of(grad, 'grad'), of(m, 'm'), of(v, 'v'), n, beta1, 1 - beta1, beta2, 1 - beta2, decay, rate, root, eps, gradScale]);
    },
  };
}
