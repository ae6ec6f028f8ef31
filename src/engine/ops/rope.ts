/** Rotary position embedding, in place. The angles come from model/rope-table.ts; which scaling made them is no matter here. */
import type { Tensor } from '../device/device.ts';
import type { Tape, Value } from './tape.ts';

/** cosSin (positions, R); held by reference, for the table may grow between forward and backward (its rows stay the same). */
export type RotaryTable = { cosSin: Tensor; readonly rotaryDims: number };

/** Turns x(N,H,D) in place: whatever made x must not need its own output in backward (linear and rmsNorm do not). Returns x. */
export function rope(tape: Tape, x: Value, table: RotaryTable, positions: Value, N: number, D: number): Value {
  const H = x.width / D;
  tape.device.rope(x.data, table.cosSin, positions.data, N, H, D, table.rotaryDims, 1);
  tape.recordInPlace(x, [positions], () => {
    tape.device.rope(x.grad!, table.cosSin, positions.data, N, H, D, table.rotaryDims, -1); // undoes rope: turns back
  });
  return x;
}
