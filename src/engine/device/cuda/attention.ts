/** Attention's launches on the CUDA device: tiles by head size and precision, as native/cuda/attention.cu and attention_backward.cu were compiled for. */
import type { Tensor } from '../device.ts';
import { SEGMENT_FIELDS } from '../device.ts';
import type { Gpu } from './driver.ts';
import type { Precision } from './products.ts';

export type Shape = { S: number; H: number; K: number; D: number; scale: number; window: number; cap: number };

/** Rows and keys of a tile; padded: the head size it was compiled for. Rows of block memory are 8 elements longer. */
const forwardTile = { exact: [32, 32], rounded: [64, 64] };
const backwardTile = (precision: Precision, padded: number): number[] => (precision === 'rounded' ? [64, 32] : padded === 256 ? [16, 16] : [32, 16]);
const pieces = { exact: 3, rounded: 1 };

export function createAttention(gpu: Gpu, precision: Precision) {
  function paddedHead(kernel: string, { H, K, D }: Shape): number {
    if (!Number.isInteger(H / K)) throw new Error(`${kernel}: H: expected a multiple of K (${K}), got ${H}`);
    const padded = [64, 128, 256].find((size) => D <= size);
    if (!padded) throw new Error(`${kernel}: D: expected a head size of at most 256, got ${D}`);
    return padded;
  }
  const f32 = (kernel: string, x: Tensor, name: string): number => gpu.need(x, `${kernel}: ${name}`, 0, 'f32');
  const rowsOf = (width: number, ...tensors: Tensor[]): number => Math.floor(Math.min(...tensors.map(({ length }) => length)) / width);
  const blockBytes = (rows: number, padded: number): number => 2 * pieces[precision] * rows * (padded + 8);

  /** What every kernel is given after its own arguments. */
  function shared(kernel: string, q: Tensor, k: Tensor, v: Tensor, segments: Tensor, queries: number, keys: number, shape: Shape): number[] {
    const { S, H, K, D, scale, window, cap } = shape;
    const table = gpu.need(segments, `${kernel}: segments`, S * SEGMENT_FIELDS, 'i32');
    return [f32(kernel, q, 'q'), f32(kernel, k, 'k'), f32(kernel, v, 'v'), table, S, H, K, D, queries, keys, scale, window, cap, D % 4 === 0 ? 1 : 0, gpu.fault];
  }

  return {
    forward(kernel: string, out: Tensor, lse: Tensor, q: Tensor, k: Tensor, v: Tensor, segments: Tensor, shape: Shape): void {
      const { S, H, K, D } = shape, padded = paddedHead(kernel, shape), [rows, across] = forwardTile[precision];
      if (S === 0) return;
      const queries = Math.min(rowsOf(H * D, q, out), rowsOf(H, lse)), keys = rowsOf(K * D, k, v);
      const grid: [number, number] = [Math.ceil((queries * H) / K / rows) + S, K];
      const own = [f32(kernel, out, 'out'), f32(kernel, lse, 'lse')];
      gpu.launch(`attention_${precision}_${padded}`, grid, 2 * rows, [...own, ...shared(kernel, q, k, v, segments, queries, keys, shape)], blockBytes(rows + across, padded));
    },

    backward(kernel: string, dq: Tensor, dk: Tensor, dv: Tensor, dout: Tensor, out: Tensor, lse: Tensor, q: Tensor, k: Tensor, v: Tensor, segments: Tensor, shape: Shape): void {
      const { S, H, K, D } = shape, padded = paddedHead(kernel, shape), [rows, across] = backwardTile(precision, padded);
      if (S === 0) return;
      const queries = Math.min(rowsOf(H * D, q, dq, dout, out), rowsOf(H, lse)), keys = rowsOf(K * D, k, v, dk, dv);
      const common = shared(kernel, q, k, v, segments, queries, keys, shape);
      const bytes = blockBytes(2 * (rows + across), padded);
      gpu.scratch(4 * queries * H, (delta) => {
        const [dOut, logSum] = [f32(kernel, dout, 'dout'), f32(kernel, lse, 'lse')];
        gpu.launch('attention_delta', [Math.ceil((queries * H) / 4)], 128, [delta, dOut, f32(kernel, out, 'out'), queries * H, D]);
        gpu.launch(`attention_dq_${precision}_${padded}`, [Math.ceil((queries * H) / K / rows) + S, K], 2 * rows, [f32(kernel, dq, 'dq'), dOut, logSum, delta, ...common], bytes);
        const grid: [number, number, number] = [Math.ceil(keys / rows), K, padded === 256 ? 2 : 1];
        gpu.launch(`attention_dkv_${precision}_${padded}`, grid, 2 * rows, [f32(kernel, dk, 'dk'), f32(kernel, dv, 'dv'), dOut, logSum, delta, ...common], bytes);
      });
    },
  };
}
