/**
 * The tape: ops write here, as they run forward, how to run back. It owns the lifetime of every activation: a value lives while the
 * scope that made it is open or a recorded op still needs it, and then its buffer goes back to the pool. What is cheap to make is not kept
 * for backward at all but made again there, from values that are kept anyway (`remake`): at M that is a third of all activations.
 * Not an autograd of general tensors: values have a width and rows, an op is the size of a layer's part, and each op's file says
 * which forward line each backward line undoes.
 */
import type { Device, Group, Storage, Tensor } from '../device/device.ts';
import type { Pool } from './pool.ts';

/**
 * A parameter as ops see it. Its gradient comes to be, from the pool, when backward first reaches it in a step, and lives until the
 * optimiser has used it: before that its memory is free for activations.
 */
export type Weight = { readonly tensor: Tensor; readonly trained: boolean; grad: Tensor | null };

/** An activation (rows, width). Its gradient comes to be in backward, when the first op writes it. */
export type Value = {
  data: Tensor;
  readonly width: number;
  /** Whether anything below it is trained: backward stops where this is false. */
  readonly requiresGrad: boolean;
  grad: Tensor | null;
  /** Open scopes and recorded ops that still need the data. */
  holders: number;
  /** How the tape makes the data again, where recorded ops do not hold it. */
  remake: Remake | null;
};

/** `make` fills a buffer from `from`, to the same bits as the forward. `readers` are the recorded ops that will ask for it. */
type Remake = { from: Value[]; make: (data: Tensor) => void; readers: number; made: boolean };

export interface Tape {
  readonly device: Device;
  readonly pool: Pool;
  /** False in inference and in the first pass of a checkpointed layer: nothing is kept for backward. */
  readonly recording: boolean;
  value(width: number, requiresGrad: boolean, storage?: Storage, most?: number): Value;
  /** The data of `value` can be made again from `from`, which must be kept values: recorded ops hold those instead. Say so before any op reads it. */
  remake(value: Value, from: Value[], make: (data: Tensor) => void): void;
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
    hold(saved.flatMap(kept));
    for (const { remake } of saved) if (remake) remake.readers++;
    ops.push({ out, saved, backward, inPlace });
  }
  /** What must live for a saved value to be there in backward. */
  function kept(value: Value): Value[] {
    return value.remake ? value.remake.from : [value];
  }
  /** Makes a value again for the first op that reads it in backward; it then stays until the last has. */
  function restore(value: Value): void {
    if (!value.remake || value.holders > 0) return;
    value.data = pool.take(value.width);
    value.remake.make(value.data);
    value.remake.made = true;
    value.holders = 1;
  }
  function releaseSaved(value: Value): void {
    if (value.remake && --value.remake.readers === 0 && value.remake.made) release([value]);
    release(kept(value));
  }

  return {
    device,
    pool,
    recording,
    value(width, requiresGrad, storage = 'f32', most = Infinity) {
      const value: Value = { data: pool.take(width, storage, most), width, requiresGrad, grad: null, holders: 1, remake: null };
      open.push(value);
      return value;
    },
    remake(value, from, make) {
      if (recording) value.remake = { from, make, readers: 0, made: false };
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
    recordInPlace(out, saved, backward) {
      out.remake = null; // what made it no longer makes what it is
      record(out, saved, backward, true);
    },
    backward() {
      for (let op = ops.pop(); op; op = ops.pop()) {
        if (op.out.grad) {
          op.saved.forEach(restore);
          op.backward();
        }
        // A kernel may write gradients that nobody below asks for: they end here.
        for (const value of op.saved) if (!value.requiresGrad) dropGrad(pool, value);
        op.saved.forEach(releaseSaved);
        if (!op.inPlace) dropGrad(pool, op.out);
      }
    },
  };
}

/** A value that lives in memory of someone else (a cache): never trained, never given to the pool. */
export function constant(data: Tensor, width: number): Value {
  return { data, width, requiresGrad: false, grad: null, holders: Infinity, remake: null };
}

/** Where a weight's gradient accumulates, null when it is frozen. Its first zeros are still in the cache when the kernel adds to them. */
export function weightGrad({ device, pool }: Tape, weight: Weight): Tensor | null {
  if (weight.trained && !weight.grad) {
    weight.grad = pool.takeFloats(weight.tensor.length);
    device.fill(weight.grad, 0, weight.tensor.length);
  }
  return weight.grad;
}

/** A trained weight's gradient for a kernel that takes beta: 0 on the first write of a step (the buffer holds rubbish), 1 after. */
export function weightGradToWrite({ pool }: Tape, weight: Weight): { grad: Tensor; beta: 0 | 1 } {
  if (weight.grad) return { grad: weight.grad, beta: 1 };
  weight.grad = pool.takeFloats(weight.tensor.length);
  return { grad: weight.grad, beta: 0 };
}

/** Undoes out(N,O) = alpha · x(N,I) · w(O,I)ᵀ through w, unless it is frozen. */
export function linearBackwardWeight(tape: Tape, weight: Weight, dout: Tensor, x: Tensor, N: number, I: number, O: number, alpha: number, group?: Group): void {
  if (!weight.trained) return;
  const { grad, beta } = weightGradToWrite(tape, weight);
  tape.device.linearBackwardWeight(grad, dout, x, N, I, O, alpha, beta, group);
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
