/**
 * The whole kernel contract on one page: what a device must do for everything above it to run.
 * It is not a tensor library: no shapes, no broadcasting, no autograd. Shapes live in ops/, where each call is made.
 *
 * Rules: kernels are void and ordered; outputs come first, then inputs, then dims; every matrix is row-major and dense.
 * Gradients accumulate (`+=`) unless a docstring says otherwise. Only `read` is a promise. Same inputs → same bits, at any thread count.
 *
 * Dims: N tokens, S segments, M loss sites, C hidden, H query heads, K key/value heads, D head dim, F intermediate,
 *       V vocab, L layers, I/O the in/out features of a linear.
 */

/**
 * f32 computes; bf16 only stores frozen weights; i32 holds token ids, positions and segment tables. q8_0 stores weights for decoding as
 * ggml's Q8_0 does (a float16 scale and 32 signed bytes a block, 34 bytes): quantize writes it, linear and gatherRows read it, nothing else.
 */
export type Storage = 'f32' | 'bf16' | 'i32' | 'q8_0' | BlockStorage;

/**
 * A frozen matrix in blocks of its rows that adapters are trained on: wherever a kernel takes bf16 weights it takes these, and computes with the very
 * numbers they mean (formats/weight-blocks.ts: ggml's Q8_0 and Q4_0, NF4). Written once, as all their bytes; never read back, filled or copied.
 */
export type BlockStorage = 'int8' | 'q4_0' | 'nf4';
/** Numbers of a block: rows are whole blocks. */
export const BLOCK_NUMBERS: Record<BlockStorage, number> = { int8: 32, q4_0: 32, nf4: 64 };

/** A dense block of device memory. Opaque: only the device that made it can look inside. */
export interface Tensor {
  readonly storage: Storage;
  /** Elements, not bytes. */
  readonly length: number;
}

/** Host-side values of a tensor: bf16 travels as its 16 raw bits, a matrix in blocks as its bytes. */
export type HostArray = Float32Array | Int32Array | Uint16Array | Uint8Array;

/** A tensor in a model's file that is mapped into memory (mapping.ts): its bytes begin at `begin`, and it is stored as a device would keep it. */
export type MappedBytes = { readonly mapping: unknown; readonly begin: number; readonly storage: 'f32' | 'bf16' };

/** Ints a segment takes in a segment table: see `attention`. */
export const SEGMENT_FIELDS = 6;

/** The gate's activation in a gated MLP. */
export type Activation = 'silu' | 'gelu_pytorch_tanh';

/** That of an MLP without a gate; the sigmoid is the gate of a shared expert. */
export type PlainActivation = 'gelu' | 'gelu_pytorch_tanh' | 'sigmoid';

/** Of N rows only bounds[at] ≤ n < bounds[at + 1]: those of one expert. The bounds (i32) are the device's own, as `route` leaves them. */
export type Group = { readonly bounds: Tensor; readonly at: number };

export interface Device {
  readonly name: string;
  /** One line for people: its name, then what really runs, e.g. `native, AVX-512, 2 threads`. */
  readonly description: string;
  /** Of its own memory, where that is not the machine's. */
  readonly memoryBytes?: number;

  // ── memory ────────────────────────────────────────────────────────────────────────────────────────────────────────
  /**
   * Zero-filled. Throws a sentence naming the bytes asked for when memory is out. Of a growing tensor memory may come only with what `write` and `copy`
   * put there, and they throw: nothing else writes it, and what was never written is not read.
   */
  alloc(length: number, storage?: Storage, growing?: boolean): Tensor;
  free(x: Tensor): void;
  /** x[offset..+n) of a growing tensor is not read again before it is written: its memory may go to others. */
  forget?(x: Tensor, offset: number, n: number): void;
  /** A frozen tensor that stays in its mapped file, uncopied and not in memory()'s count; only a device that computes in the host's memory can. */
  adopt?(bytes: MappedBytes, length: number): Tensor;
  /** `length` elements of an f32 or i32 tensor from `offset` (a multiple of 64) on, an f32 one's as f32 or i32: the same memory, never freed by itself, gone with `x`. */
  view(x: Tensor, offset: number, length: number, storage?: Storage): Tensor;
  /** Bytes now allocated, and the most there ever were. */
  memory(): { bytes: number; peakBytes: number };
  /** Host → device; `data` must match the storage (bf16 takes Uint16Array, or Float32Array rounded to nearest even; blocks take Uint8Array, or Float32Array to be quantised, whole). */
  write(x: Tensor, data: HostArray, offset?: number): void;
  /** Device → host, a copy. */
  read(x: Tensor, offset?: number, length?: number): Promise<HostArray>;

  // ── plain vectors ─────────────────────────────────────────────────────────────────────────────────────────────────
  /** x[0..n) = value */
  fill(x: Tensor, value: number, n: number): void;
  /** out[outOffset..+n) = x[xOffset..+n), f32 */
  copy(out: Tensor, outOffset: number, x: Tensor, xOffset: number, n: number): void;
  /** out[0..n) += alpha · x */
  axpy(out: Tensor, x: Tensor, alpha: number, n: number): void;
  /** out[outIndex] = Σ x[i]², in f64, in a fixed order */
  sumSquares(out: Tensor, outIndex: number, x: Tensor, n: number): void;
  /**
   * out[i] = keep(i) ? x[i] / (1 − p) : 0, keep(i) = (mix(i ^ mix(seed)) >>> 8) · 2⁻²⁴ ≥ p, mix = MurmurHash3's 32-bit finaliser.
   * A call repeats its mask, so its backward is the same call on the gradient. out may be x.
   */
  dropout(out: Tensor, x: Tensor, n: number, p: number, seed: number): void;

  // ── rows ──────────────────────────────────────────────────────────────────────────────────────────────────────────
  /** out(N,C) = table(·,C)[index]; table f32, bf16, q8_0 or blocks. The embedding, and the gather of rows that carry loss. */
  gatherRows(out: Tensor, table: Tensor, index: Tensor, N: number, C: number): void;
  /** table(·,C)[index] += rows(N,C): undoes gatherRows. Rows with one index add in order of n. */
  scatterAddRows(table: Tensor, rows: Tensor, index: Tensor, N: number, C: number): void;

  // ── linear ────────────────────────────────────────────────────────────────────────────────────────────────────────
  /** w(O,I) = x(O,I) in q8_0, I a multiple of 32: of each block d = max|x| / 127 and round(x / d), half away from zero. */
  quantize(w: Tensor, x: Tensor, O: number, I: number): void;
  /**
   * out(N,O) = beta·out + alpha · x(N,I) · w(O,I)ᵀ (+ bias(O)); w f32, bf16, q8_0 or blocks; beta 0 never reads out.
   * With q8_0, x is rounded the same way first, by blocks of 32 (halves to even, d in f32), and products of bytes are exact.
   * With a group, here and in the two below, no other row of out, x, dx or dout is read or written.
   */
  linear(out: Tensor, x: Tensor, w: Tensor, bias: Tensor | null, N: number, I: number, O: number, alpha: number, beta: number, group?: Group): void;
  /** dx(N,I) = beta·dx + alpha · dout(N,O) · w(O,I); w f32, bf16 or blocks; beta 0 never reads dx. */
  linearBackwardInput(dx: Tensor, dout: Tensor, w: Tensor, N: number, I: number, O: number, alpha: number, beta: number, group?: Group): void;
  /** dw(O,I) = beta·dw + alpha · dout(N,O)ᵀ · x(N,I); beta 0 never reads dw, and leaves zeros where there are no rows. */
  linearBackwardWeight(dw: Tensor, dout: Tensor, x: Tensor, N: number, I: number, O: number, alpha: number, beta: number, group?: Group): void;
  /** dbias(O) += Σₙ dout(N,O) */
  linearBackwardBias(dbias: Tensor, dout: Tensor, N: number, O: number): void;

  // ── a layer's parts ───────────────────────────────────────────────────────────────────────────────────────────────
  /** rstd(N) = 1/√(mean(x²) + eps); out(N,C) = x · rstd · weight(C). N may be tokens × heads (QK-norm). */
  rmsNorm(out: Tensor, rstd: Tensor, x: Tensor, weight: Tensor, N: number, C: number, eps: number): void;
  /** dx += …, dweight += … (null when the weight is frozen) */
  rmsNormBackward(dx: Tensor, dweight: Tensor | null, dout: Tensor, x: Tensor, weight: Tensor, rstd: Tensor, N: number, C: number): void;
  /**
   * Rotates x(N,H,D) in place: for d < R/2, the pair (x[d], x[d+R/2]) turns by the angle whose cosine and sine are
   * cosSin[position, d] and cosSin[position, R/2 + d] (cosSin is (positions, R), R = rotary dims ≤ D). direction −1 turns back (backward).
   */
  rope(x: Tensor, cosSin: Tensor, positions: Tensor, N: number, H: number, D: number, R: number, direction: 1 | -1): void;
  /**
   * Causal attention over packed segments. q(Nq,H,D), k(Nk,K,D), v(Nk,K,D), out(Nq,H,D), lse(Nq,H) = log-sum-exp of the scaled scores.
   * segments: i32 (S, 6) = queryStart, queryLength, prefixStart, prefixLength, keyStart, keyLength.
   * Query j of a segment sees all keys [prefixStart, +prefixLength) and its own keys [keyStart, +keyLength − queryLength + j].
   * In training queryStart = keyStart and the lengths agree; decoding has queryLength 1 and keys in a cache.
   */
  attention(out: Tensor, lse: Tensor, q: Tensor, k: Tensor, v: Tensor, segments: Tensor, S: number, H: number, K: number, D: number, scale: number): void;
  /** dq, dk, dv += …; keys of a shared prefix gather from every segment that sees them, in order of s. */
  attentionBackward(
    dq: Tensor, dk: Tensor, dv: Tensor,
    dout: Tensor, out: Tensor, lse: Tensor, q: Tensor, k: Tensor, v: Tensor,
    segments: Tensor, S: number, H: number, K: number, D: number, scale: number,
  ): void;
  /** out[n] = act(gate[n]) · up[n] */
  gatedActivation(out: Tensor, gate: Tensor, up: Tensor, n: number, activation: Activation): void;
  /** dgate, dup are written (not accumulated); dout may be one of them. */
  gatedActivationBackward(dgate: Tensor, dup: Tensor, dout: Tensor, gate: Tensor, up: Tensor, n: number, activation: Activation): void;
  /**
   * The LM head, fused: logits = x(M,C) · w(V,C)ᵀ by chunks, never held. logprobs(M) = logits[target] − lse, lse(M) = log-sum-exp.
   * entropy(M), in nats, and best(M) i32, the argmax (lowest id on a tie), only when given. w f32, bf16 or blocks.
   * kept, when given, takes logits for logprobBackward, as many rows as fit (V floats each, laid out as the device likes): that saves a third
   * of backward's work and changes no bit of it.
   */
  logprob(logprobs: Tensor, lse: Tensor, entropy: Tensor | null, best: Tensor | null, kept: Tensor | null, x: Tensor, w: Tensor, targets: Tensor, M: number, C: number, V: number): void;
  /** From dlogprobs(M): dx(M,C) = (written), dw(V,C) = beta·dw + … (null when frozen), beta as above. Recomputes the logits that are not in kept, and uses kept up. */
  logprobBackward(dx: Tensor, dw: Tensor | null, kept: Tensor | null, dlogprobs: Tensor, x: Tensor, w: Tensor, targets: Tensor, lse: Tensor, M: number, C: number, V: number, beta: number): void;

  // ── what only some families need ──────────────────────────────────────────────────────────────────────────────────
  /** mean(N), rstd(N) = 1/√(mean((x − mean)²) + eps); out(N,C) = (x − mean) · rstd · weight(C) + bias(C). */
  layerNorm(out: Tensor, mean: Tensor, rstd: Tensor, x: Tensor, weight: Tensor, bias: Tensor, N: number, C: number, eps: number): void;
  /** dx += …, dweight += …, dbias += … (both null when frozen) */
  layerNormBackward(
    dx: Tensor, dweight: Tensor | null, dbias: Tensor | null,
    dout: Tensor, x: Tensor, weight: Tensor, mean: Tensor, rstd: Tensor, N: number, C: number,
  ): void;
  /** out[n] = act(x[n]) */
  activation(out: Tensor, x: Tensor, n: number, activation: PlainActivation): void;
  /** dx is written (not accumulated); dout may be dx. */
  activationBackward(dx: Tensor, dout: Tensor, x: Tensor, n: number, activation: PlainActivation): void;
  /** out[outOffset + r · outStride ..+width) = x[xOffset + r · xStride ..+width) for r < rows, or += with add; width is at most either stride. */
  copyColumns(
    out: Tensor, outOffset: number, outStride: number, x: Tensor, xOffset: number, xStride: number, rows: number, width: number, add: 0 | 1,
  ): void;
  /**
   * attention, where of the keys a query sees only the last `window` count, itself included (0: all), and a score s is
   * cap · tanh(s / cap) before the softmax (0: s itself). Places count through a segment's prefix into its own keys.
   */
  localAttention(
    out: Tensor, lse: Tensor, q: Tensor, k: Tensor, v: Tensor, segments: Tensor, S: number, H: number, K: number, D: number,
    scale: number, window: number, cap: number,
  ): void;
  /** As attentionBackward. */
  localAttentionBackward(
    dq: Tensor, dk: Tensor, dv: Tensor,
    dout: Tensor, out: Tensor, lse: Tensor, q: Tensor, k: Tensor, v: Tensor,
    segments: Tensor, S: number, H: number, K: number, D: number, scale: number, window: number, cap: number,
  ): void;
  /** logits(M,V) becomes cap · tanh(logits / cap) in place; from there as logprob, whose product this is not. */
  cappedLogprob(logprobs: Tensor, lse: Tensor, entropy: Tensor | null, best: Tensor | null, logits: Tensor, targets: Tensor, M: number, V: number, cap: number): void;
  /** logits(M,V), capped by cappedLogprob, become the gradient of what they were before. */
  cappedLogprobBackward(logits: Tensor, dlogprobs: Tensor, targets: Tensor, lse: Tensor, M: number, V: number, cap: number): void;

  // ── mixtures of experts ───────────────────────────────────────────────────────────────────────────────────────────
  /**
   * A router: probs(N,E) = softmax(logits(N,E)); chosen(N,K) i32 are each row's K likeliest experts, likeliest first, the lower of a tie;
   * weights(N,K) their probs, divided by the K's sum with normalise. The N·K pairs are laid out by expert, then by row: slots(N,K) i32 is each
   * pair's place, rows(N·K) i32 each place's row, bounds(E+1) i32 where each expert's places begin. load(E) += their count, when given.
   */
  route(
    probs: Tensor, weights: Tensor, chosen: Tensor, slots: Tensor, rows: Tensor, bounds: Tensor, load: Tensor | null,
    logits: Tensor, N: number, E: number, K: number, normalise: 0 | 1,
  ): void;
  /** dlogits(N,E) is written, from dweights(N,K) and from dprobs(E), which every row's probs get besides when given. */
  routeBackward(
    dlogits: Tensor, dweights: Tensor, dprobs: Tensor | null, probs: Tensor, weights: Tensor, chosen: Tensor,
    N: number, E: number, K: number, normalise: 0 | 1,
  ): void;
  /** out(N,C) += Σⱼ weights(N,K)[n,j] · y(N·K,C)[slots(N,K)[n,j]], in order of j */
  combineRows(out: Tensor, y: Tensor, weights: Tensor, slots: Tensor, N: number, K: number, C: number): void;
  /** dy(N·K,C) and dweights(N,K) (null when nobody asks) are written; every place is in slots once. */
  combineRowsBackward(dy: Tensor, dweights: Tensor | null, dout: Tensor, y: Tensor, weights: Tensor, slots: Tensor, N: number, K: number, C: number): void;

  // ── optimiser ─────────────────────────────────────────────────────────────────────────────────────────────────────
  /**
   * AdamW as torch.optim.AdamW does it, in one pass: g = gradScale · grad; w −= lr·weightDecay·w; m, v; w −= lr · m̂ / (√v̂ + eps).
   * step counts from 1. grad is left as it is.
   */
  adamw(w: Tensor, grad: Tensor, m: Tensor, v: Tensor, n: number, lr: number, beta1: number, beta2: number, eps: number, weightDecay: number, step: number, gradScale: number): void;
}
