/**
 * The tape: ops write here, as they run forward, how to run back. It owns the lifetime of every activation: a value lives while the
 * scope that made it is open or a recorded op still needs it, and then its buffer goes back to the pool.
 * Not an autograd of general tensors: values have a width and rows, an op is the size of a layer's part, and each op's file says
 * which forward line each backward line undoes.
 */
import type { Device, Storage, Tensor } from '../device/device.ts';
import type { Pool } from './pool.ts';

/** A parameter as ops see it: values and, when it is trained, where its gradient accumulates. */
export type Weight = { readonly tensor: Tensor; readonly grad: Tensor | null };

/** An activation (rows, width). Its gradient comes to be in backward, when the first op writes it. */
export type Value = {
  readonly data: Tensor;
  readonly width: number;
  /** Whether anything below it is trained: backward stops where this is false. */
  readonly requiresGrad: boolean;
  grad: Tensor | null;
  /** Open scopes and recorded ops that still need the data. */
  holders: number;
};

export interface Tape {
  readonly device: Device;
  readonly pool: Pool;
  /** False in inference and in the first pass of a checkpointed layer: nothing is kept for backward. */
  readonly recording: boolean;
  value(width: number, requiresGrad: boolean, storage?: Storage, most?: number): Value;
  /** Runs part of a forward; all values made inside are released at its end but the one it returns. */
  scope<T extends Value>(part: () => T): T;
  /** Releases a value of the open scope before the scope ends. */
  done(value: Value): void;
  /** Takes over a value another tape made: released at the end of the open scope. */
  adopt(value: Value): Value;
  /** Holds values past the end of their scopes; release undoes it. */
  hold(values: Value[]): void;
  release(values: Value[]): void;
  /** `backward` undoes the op that made `out`; `saved` are the values it reads (data, not grad). Runs only if a gradient reached out. */
  record(out: Value, saved: Value[], backward: () => void): void;
  /** Same for an op that changed `out` in place; the op that made `out` is undone later, from the gradient this one leaves. */
  recordInPlace(out: Value, saved: Value[], backward: () => void): void;
  /** Undoes all recorded ops, last first, and releases what they saved. */
  backward(): void;
}

type Op = { out: Value; saved: Value[]; backward: () => void; inPlace: boolean };

export function createTape(device: Device, pool: Pool, recording: boolean): Tape {
  const ops: Op[] = [];
  let open: Value[] = [];

  function hold(values: Value[]) {
    for (const value of values) value.holders++;
  }
  function release(values: Value[]) {
    for (const value of values) if (--value.holders === 0) pool.give(value.data);
  }
  function record(out: Value, saved: Value[], backward: () => void, inPlace: boolean) {
    if (!recording || !out.requiresGrad) return;
    hold(saved);
    ops.push({ out, saved, backward, inPlace });
  }

  return {
    device,
    pool,
    recording,
    value(width, requiresGrad, storage = 'f32', most = Infinity) {
      const value: Value = { data: pool.take(width, storage, most), width, requiresGrad, grad: null, holders: 1 };
      open.push(value);
      return value;
    },
    scope(part) {
      const outer = open;
      open = [];
      const result = part();
      release(open.filter((value) => value !== result));
      // A result made inside passes to the scope around it; one from outside has its owner already.
      if (open.includes(result)) outer.push(result);
      open = outer;
      return result;
    },
    done(value) {
      open.splice(open.lastIndexOf(value), 1);
      release([value]);
    },
    adopt(value) {
      open.push(value);
      return value;
    },
    hold,
    release,
    record: (out, saved, backward) => record(out, saved, backward, false),
    recordInPlace: (out, saved, backward) => record(out, saved, backward, true),
    backward() {
      for (let op = ops.pop(); op; op = ops.pop()) {
        if (op.out.grad) op.backward();
        // A kernel may write gradients that nobody below asks for: they end here.
        for (const value of op.saved) if (!value.requiresGrad) dropGrad(pool, value);
        release(op.saved);
        if (!op.inPlace) dropGrad(pool, op.out);
      }
    },
  };
}

/** A value that lives in memory of someone else (a cache): never trained, never given to the pool. */
export function constant(data: Tensor, width: number): Value {
  return { data, width, requiresGrad: false, grad: null, holders: Infinity };
}

/** The gradient of x to add to with a kernel that takes beta: 0 on the first write (the buffer holds rubbish), 1 after. */
export function gradToWrite(tape: Tape, x: Value): { grad: Tensor; beta: 0 | 1 } {
  if (x.grad) return { grad: x.grad, beta: 1 };
  x.grad = tape.pool.take(x.width);
  return { grad: x.grad, beta: 0 };
}

/** The gradient of x to add to with a kernel that only accumulates; (N, width) zeros on first use. */
export function gradToAdd(tape: Tape, x: Value, N: number): Tensor {
  if (!x.grad) {
    x.grad = tape.pool.take(x.width);
    tape.device.fill(x.grad, 0, N * x.width);
  }
  return x.grad;
}

/** Hands out's gradient on to x, for an op whose out is x plus something: without a copy when x has none yet. */
export function passGrad(tape: Tape, out: Value, x: Value, N: number): void {
  if (x.grad) return tape.device.axpy(x.grad, out.grad!, 1, N * x.width);
  x.grad = out.grad;
  out.grad = null;
}

export function dropGrad(pool: Pool, x: Value): void {
  if (x.grad) pool.give(x.grad);
  x.grad = null;
}
