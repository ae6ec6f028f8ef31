/** Rows of a table by index: the embedding of tokens, and the gather of rows that carry loss. Tables may be f32 or, frozen, bf16. */
import { gradToAdd, type Tape, type Value, type Weight, weightGrad } from './tape.ts';

/** table(V,C), tokens(N) i32 → (N,C) */
export function embedding(tape: Tape, table: Weight, tokens: Value, N: number, C: number): Value {
  const out = tape.value(C, table.trained);
  tape.device.gatherRows(out.data, table.tensor, tokens.data, N, C);
  tape.record(out, [tokens], () => {
    tape.device.scatterAddRows(weightGrad(tape, table)!, out.grad!, tokens.data, N, C); // undoes gatherRows
  });
  return out;
}

/** x(N,C), rows(M) i32 → (M,C); a row may be taken more than once. */
export function gather(tape: Tape, x: Value, rows: Value, N: number, M: number): Value {
  const C = x.width;
  const out = tape.value(C, x.requiresGrad);
  tape.device.gatherRows(out.data, x.data, rows.data, M, C);
  tape.record(out, [rows], () => {
    tape.device.scatterAddRows(gradToAdd(tape, x, N), out.grad!, rows.data, M, C); // undoes gatherRows
  });
  return out;
}
