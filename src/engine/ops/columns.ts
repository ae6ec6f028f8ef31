/** One part of what a fused projection gave (q of qkv, gate of gate-up): columns of x as a value of their own. */
import { gradToAdd, type Tape, type Value } from './tape.ts';

/** Each row of x holds `pieces` stretches that lie `stride` apart; of each, `width` elements from `offset` on → (N, pieces · width). */
export function columns(tape: Tape, x: Value, N: number, part: { offset: number; width: number; stride: number; pieces: number }): Value {
  const { offset, width, stride, pieces } = part;
  const rows = N * pieces;
  const out = tape.value(pieces * width, x.requiresGrad);
  tape.device.copyColumns(out.data, 0, width, x.data, offset, stride, rows, width, 0);
  tape.record(out, [], () => {
    tape.device.copyColumns(gradToAdd(tape, x, N), offset, stride, out.grad!, 0, width, rows, width, 1); // undoes copyColumns
  });
  return out;
}
