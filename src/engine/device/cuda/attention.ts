/** Attention's launches on the CUDA device: tiles by head size and precision, as native/cuda/attention.cu and attention_backward.cu were compiled for. */
import type { Tensor } from '../device.ts';
import { SEGMENT_FIELDS } from '../device.ts';
import type { Gpu } from './driver.ts';
import type { Precision } from './products.ts';

export type Shape = { S: number; H: number; K: number; D: number; scale: number; window: number; cap: number };

/** Rows and keys of a tile; padded: the head size it was compiled for. Rows of block memory are 8 elements longer. */
const forwardTile = { exact: [32, 32], rounded: [64, 64] };
const backwardTile = (precision: Precision, padded: number): number[] => (precision === 'rounded' ? [64, 32] : padded === 256 ? [16, 16] : [32, 16]);
/** Parts of a tile's keys at most, and keys of one at least (attention.cu's LEAST_KEYS). */
const MOST_PARTS = 32;
const LEAST_KEYS = 128;
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
      const group = H / K, tiles = Math.min(Math.ceil((queries * group) / rows) + S, queries * Math.ceil(group / rows));
      if (tiles === 0) return;
      // of what is known here alone, not of the lengths in the table: a decode step's launches stay the same while its cache fills
      const parts = Math.max(1, Math.min(MOST_PARTS, Math.floor((2 * gpu.properties.processors) / (tiles * K)), Math.ceil(keys / LEAST_KEYS)));
      const [own, common] = [[f32(kernel, out, 'out'), f32(kernel, lse, 'lse')], shared(kernel, q, k, v, segments, queries, keys, shape)];
      const attend = (part: number | null): void =>
        gpu.launch(`attention_${precision}_${padded}`, [tiles, K, parts], 2 * rows, [...own, part, ...common], blockBytes(rows + across, padded));
      if (parts === 1) return attend(null);
      gpu.scratch(4 * parts * queries * H * (D + 2), (part) => {
        attend(part);
        gpu.launch(`attention_join_${precision}`, [tiles, K], 128, [...own, part, parts, ...common]);
      });
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
