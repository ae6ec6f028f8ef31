/**
 * A linear layer's three products and the LM head on the CUDA device: which of native/cuda/gemm.cu's kernels, in tiles of what size, in how many parts.
 * exact: f32 products. rounded: every number rounded to bf16 as it is multiplied, sums in f32, as PyTorch's autocast multiplies.
 */
import type { BlockStorage, Group, Tensor } from '../device.ts';
import type { CublasLt } from './cublas-lt.ts';
import type { Gpu } from './driver.ts';

export type Precision = 'exact' | 'rounded';

/** Rows that are multiplied one weight's row at a time: memory, not arithmetic, is what they wait for. */
const FEW = 8;
/** Steps of a product's depth that gemm.cu takes at once. */
const STEP = 32;
/** A part of a product is at least so deep, and there are at most so many. */
const SHALLOWEST = 256;
const MOST_PARTS = 32;
/** Logits held at once while a head is computed: 128 MiB, and rows of them. */
const LOGITS = 2 ** 25;
const LOGIT_ROWS = 512;

/** A matrix in the GPU's memory. */
export type Matrix = { address: number; storage: 'f32' | 'bf16' | BlockStorage };

export interface Products {
  /** out(N,O) = beta · out + alpha · x(N,I) · w(O,I)ᵀ + bias */
  forward(out: number, x: number, w: Matrix, bias: number | null, N: number, I: number, O: number, alpha: number, beta: number, group?: Group): void;
  /** dx(N,I) = beta · dx + alpha · dout(N,O) · w(O,I) */
  input(dx: number, dout: number, w: Matrix, N: number, I: number, O: number, alpha: number, beta: number, group?: Group): void;
  /** dw(O,I) = beta · dw + alpha · dout(N,O)ᵀ · x(N,I) */
  weight(dw: number, dout: number, x: number, N: number, I: number, O: number, alpha: number, beta: number, group?: Group): void;
  logprob(logprobs: number, lse: number, entropy: number | null, best: number | null, kept: Tensor | null, x: number, w: Matrix, targets: number, M: number, C: number, V: number): void;
  logprobBackward(dx: number, dw: number | null, kept: Tensor | null, dlogprobs: number, x: number, w: Matrix, targets: number, lse: number, M: number, C: number, V: number, beta: number): void;
}

/** Where a group's bounds lie, on the GPU alone: a kernel reads its rows there. */
export const boundsOf = (gpu: Gpu, group?: Group): number | null => (group ? gpu.need(group.bounds, 'linear: bounds', group.at + 2, 'i32') + 4 * group.at : null);

type Kind = 'forward' | 'input' | 'weight';

/** `library`: what multiplies rounded numbers where it can. */
export function createProducts(gpu: Gpu, precision: Precision, library: CublasLt | null): Products {
  const { processors } = gpu.properties;

  /** Whether rows of so many numbers can be read four at once. */
  const whole = (address: number, row: number, bf16: boolean): number => (row % 4 === 0 && address % (bf16 ? 8 : 16) === 0 ? 1 : 0);

  /** out(M,N) of a depth K. a's rows are rowA long, b's rowB. */
  function multiply(kind: Kind, out: number, a: number, rowA: number, b: Matrix, rowB: number, bias: number | null, M: number, N: number, K: number, alpha: number, beta: number, whatParts: 'parts' | 'one part', group?: Group): void {
    if (!group && library?.multiply?.({ kind, out, a, b, bias, M, N, K, alpha, beta })) return;
    const tilesOf = (side: number): number => Math.ceil(M / side) * Math.ceil(N / side);
    const side = precision === 'rounded' && tilesOf(128) >= processors ? 128 : 64;
    const wanted = whatParts === 'parts' && K > 0 ? Math.min(MOST_PARTS, Math.floor((2 * processors) / tilesOf(side)), Math.floor(K / SHALLOWEST)) : 1;
    const depth = Math.max(STEP, Math.ceil(K / Math.max(1, wanted) / STEP) * STEP);
    const parts = Math.max(1, Math.ceil(K / depth));
    const kernel = `${kind}_${precision}${b.storage === 'f32' ? '' : `_${b.storage}`}${side === 128 ? '_large' : ''}`;
    const [piecesA, piecesB] = precision === 'rounded' ? [1, 1] : [3, b.storage === 'bf16' ? 1 : 3];
    const [along, across] = [side * (STEP + 8), STEP * (side + 8)]; // elements of a tile as gemm.cu lays it out
    const blockBytes = 2 * (piecesA * (kind === 'weight' ? across : along) + piecesB * (kind === 'forward' ? along : across));
    const grid: [number, number, number] = [Math.ceil(N / side), Math.ceil(M / side), parts];
    const threads = side === 128 ? 256 : 128;
    const run = (to: number, offset: number | null): void =>
      gpu.launch(kernel, grid, threads, [to, a, b.address, offset, M, N, K, depth, alpha, beta, whole(a, rowA, false), whole(b.address, rowB, b.storage === 'bf16'), parts, boundsOf(gpu, group)], blockBytes);
    if (parts === 1) return run(out, bias);
    gpu.scratch(4 * parts * M * N, (partial) => {
      run(partial, null);
      gpu.each('reduce_parts', M * N, [out, partial, bias, M * N, N, parts, alpha, beta]);
    });
  }

  /** A head that is multiplied piece by piece, rounded for the library once. */
  function roundedOnce(w: Matrix, rows: number, numbers: number, use: (w: Matrix) => void): void {
    if (!library?.multiply || w.storage !== 'f32' || rows <= FEW) return use(w);
    gpu.scratch(2 * numbers, (address) => {
      gpu.each('narrow_all', numbers, [address, w.address, numbers]);
      use({ address, storage: 'bf16' });
    });
  }

  function fewRows(out: number, x: number, w: Matrix, bias: number | null, N: number, I: number, O: number, alpha: number, beta: number, group?: Group): void {
    gpu.launch(`few_rows_${w.storage}`, [Math.ceil(O / 4)], 128, [out, x, w.address, bias, N, O, I, alpha, beta, whole(x, I, false), whole(w.address, I, w.storage === 'bf16'), boundsOf(gpu, group)]);
  }

  /** Rows of logits. How a row is summed depends on how many rows the whole call has, not on the piece it is made in. */
  function logits(out: number, x: number, w: Matrix, rows: number, C: number, V: number, M: number): void {
    if (M <= FEW) fewRows(out, x, w, null, rows, C, V, 1, 0);
    else multiply('forward', out, x, C, w, C, null, rows, V, C, 1, 0, 'one part');
  }

  /** Visits rows [from, from + rows) of M with where their logits go: into kept while whole pieces fit there, into scratch memory after. */
  function inPieces(kept: Tensor | null, keptAt: number | null, M: number, V: number, visit: (logits: number, from: number, rows: number, isKept: boolean) => void): void {
    const piece = Math.max(1, Math.min(LOGIT_ROWS, Math.floor(LOGITS / V)));
    const room = kept ? Math.floor(kept.length / V) : 0;
    for (let from = 0; from < M; from += piece) {
      const rows = Math.min(piece, M - from);
      if (keptAt !== null && from + rows <= room) visit(keptAt + 4 * from * V, from, rows, true);
      else gpu.scratch(4 * rows * V, (address) => visit(address, from, rows, false));
    }
  }
  const keptAddress = (kept: Tensor | null, what: string): number | null => (kept ? gpu.need(kept, what, 0, 'f32') : null);

  const products: Products = {
    forward(out, x, w, bias, N, I, O, alpha, beta, group) {
      if (N === 0) return;
      if (N <= FEW) fewRows(out, x, w, bias, N, I, O, alpha, beta, group);
      else multiply('forward', out, x, I, w, I, bias, N, O, I, alpha, beta, group ? 'one part' : 'parts', group);
    },
    input(dx, dout, w, N, I, O, alpha, beta, group) {
      if (N > 0) multiply('input', dx, dout, O, w, I, null, N, I, O, alpha, beta, group ? 'one part' : 'parts', group); // undoes, through x: out = alpha · x · wᵀ
    },
    weight(dw, dout, x, N, I, O, alpha, beta, group) {
      if (N > 0) multiply('weight', dw, dout, O, { address: x, storage: 'f32' }, I, null, O, I, N, alpha, beta, 'parts', group); // undoes, through w: out = alpha · x · wᵀ
      else if (beta === 0) gpu.each('fill32', O * I, [dw, 0, O * I]);
    },

    logprob(logprobs, lse, entropy, best, kept, x, w, targets, M, C, V) {
      roundedOnce(w, M, V * C, (head) =>
        inPieces(kept, keptAddress(kept, 'logprob: kept'), M, V, (at, from, rows) => {
          logits(at, x + 4 * from * C, head, rows, C, V, M);
          const row = (address: number | null): number | null => (address === null ? null : address + 4 * from);
          gpu.launch('logprob_rows', [rows], 256, [logprobs + 4 * from, lse + 4 * from, row(entropy), row(best), at, targets + 4 * from, V, 0, gpu.fault]);
        }));
    },
    logprobBackward(dx, dw, kept, dlogprobs, x, w, targets, lse, M, C, V, beta) {
      if (M === 0 && dw !== null) products.weight(dw, 0, x, 0, C, V, 1, beta);
      roundedOnce(w, M, V * C, (head) =>
        inPieces(kept, keptAddress(kept, 'logprobBackward: kept'), M, V, (at, from, rows, isKept) => {
          if (!isKept) logits(at, x + 4 * from * C, head, rows, C, V, M);
          gpu.each('logprob_backward_rows', rows * V, [at, dlogprobs + 4 * from, targets + 4 * from, lse + 4 * from, rows, V, 0]);
          products.input(dx + 4 * from * C, at, head, rows, C, V, 1, 0); // undoes, through x: logit = x · w
          if (dw !== null) products.weight(dw, at, x + 4 * from * C, rows, C, V, 1, from === 0 ? beta : 1); // undoes, through w: logit = x · w
        }));
    },
  };
  return products;
}
