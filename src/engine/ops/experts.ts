/**
 * A mixture of experts as ops: the router's choice, the gather of rows by expert, the experts' linears over their own rows alone, and the
 * weighed sum back to tokens. How many rows an expert gets only the device knows, so N·K rows in all are kept as a value of N rows, K times as wide.
 * Not here: which linears there are (model/mixture.ts), and the router's loss (model/router-loss.ts).
 */
import type { Group, Tensor } from '../device/device.ts';
import type { LinearWeights } from './linear.ts';
import { type LoraUpdate, withDropped } from './lora.ts';
import { gradToAdd, gradToWrite, linearBackwardWeight, passGrad, type Tape, type Value } from './tape.ts';

/** See Device.route. weights(N,K), slots(N,K), rows(N·K), bounds(E+1). */
export type Routing = { weights: Value; slots: Value; rows: Value; bounds: Value; K: number };

/** What all layers of a forward add up for the load balancing loss, each (E): slots and probs an expert got; and the gradient of every row's probs, there from before backward. */
export type Balance = { load: Tensor; mass: Tensor; dprobs: Tensor; counted: Set<number> };

/** logits(N,E) → the K experts of each row. A layer that runs again in backward is not counted again. */
export function route(tape: Tape, logits: Value, N: number, K: number, normalise: boolean, layer: number, balance: Balance | null): Routing {
  const { device, pool } = tape;
  const E = logits.width, norm = normalise ? 1 : 0;
  const weights = tape.value(K, logits.requiresGrad);
  const probs = tape.value(E, false);
  const [chosen, slots, rows] = [K, K, K].map((width) => tape.value(width, false, 'i32')) as [Value, Value, Value];
  const bounds = tape.value(E + 1, false, 'i32', E + 1);
  const counts = balance !== null && !balance.counted.has(layer);
  device.route(probs.data, weights.data, chosen.data, slots.data, rows.data, bounds.data, counts ? balance.load : null, logits.data, N, E, K, norm);
  if (counts) {
    device.linearBackwardBias(balance.mass, probs.data, N, E); // sums of columns
    balance.counted.add(layer);
  }
  tape.record(weights, [probs, weights, chosen], () => {
    // The router's logits are read by this op alone, so their gradient is written.
    logits.grad = pool.take(E);
    device.routeBackward(logits.grad, weights.grad!, balance?.dprobs ?? null, probs.data, weights.data, chosen.data, N, E, K, norm); // undoes route
  });
  return { weights, slots, rows, bounds, K };
}

/** x(N,C) → (N·K,C): the rows of each expert together. */
export function dispatch(tape: Tape, x: Value, { rows, K }: Routing, N: number): Value {
  const C = x.width;
  const out = tape.value(K * C, x.requiresGrad);
  const gather = (to: Tensor) => tape.device.gatherRows(to, x.data, rows.data, N * K, C);
  gather(out.data);
  tape.remake(out, [x, rows], gather);
  tape.record(out, [rows], () => {
    tape.device.scatterAddRows(gradToAdd(tape, x, N), out.grad!, rows.data, N * K, C); // undoes gatherRows
  });
  return out;
}

/** x(N·K,I) → (N·K,O), each expert's linear on its rows. Adapters have one rank and no DoRA (model/lora.ts sees to it). One mask of dropout serves the adapters of all of them. */
export function expertLinear(tape: Tape, x: Value, experts: LinearWeights[], loras: (LoraUpdate | null)[], { bounds, K }: Routing, N: number): Value {
  const { device, pool } = tape;
  const { inFeatures: I, outFeatures: O } = experts[0]!;
  const P = N * K;
  const groups = experts.map((_, at): Group => ({ bounds: bounds.data, at }));
  const lora = loras.find((each) => each !== null) ?? null;
  const trained = experts.some(({ weight }) => weight.trained);
  const out = tape.value(K * O, x.requiresGrad || trained || (lora?.a.trained ?? false));
  const low = lora ? tape.value(K * lora.r, false) : null;
  const eachLora = (visit: (update: LoraUpdate, group: Group) => void) => loras.forEach((update, at) => update && visit(update, groups[at]!));

  experts.forEach(({ weight }, at) => device.linear(out.data, x.data, weight.tensor, null, P, I, O, 1, 0, groups[at]));
  if (lora) withDropped(tape, x, lora, N, (dropped) => eachLora(({ a, r }, group) => device.linear(low!.data, dropped, a.tensor, null, P, I, r, 1, 0, group)));
  eachLora(({ b, r, scale }, group) => device.linear(out.data, low!.data, b.tensor, null, P, r, O, scale, 1, group));

  const saved = trained || lora ? [x, bounds] : [bounds];
  if (low) saved.push(low);
  tape.record(out, saved, () => {
    const dout = out.grad!;
    experts.forEach(({ weight }, at) => linearBackwardWeight(tape, weight, dout, x.data, P, I, O, 1, groups[at])); // undoes linear, for w
    if (x.requiresGrad) {
      const { grad, beta } = gradToWrite(tape, x);
      experts.forEach(({ weight }, at) => device.linearBackwardInput(grad, dout, weight.tensor, P, I, O, 1, beta, groups[at])); // undoes linear, for x
    }
    if (!lora) return;
    const dlow = pool.take(K * lora.r);
    eachLora(({ b, r, scale }, group) => {
      linearBackwardWeight(tape, b, dout, low!.data, P, r, O, scale, group); // undoes out += scale · low · Bᵀ, for B
      device.linearBackwardInput(dlow, dout, b.tensor, P, r, O, scale, 0, group); // … and for low
    });
    withDropped(tape, x, lora, N, (dropped) => eachLora(({ a, r }, group) => {
      linearBackwardWeight(tape, a, dlow, dropped, P, I, r, 1, group); // undoes low = dropped · Aᵀ, for A
    }));
    if (x.requiresGrad) {
      const dx = lora.p > 0 ? pool.take(K * I) : x.grad!;
      if (lora.p > 0) device.fill(dx, 0, P * I);
      eachLora(({ a, r }, group) => device.linearBackwardInput(dx, dlow, a.tensor, P, I, r, 1, 1, group)); // … and for dropped
      if (lora.p > 0) {
        device.dropout(dx, dx, P * I, lora.p, lora.seed); // undoes dropout
        device.axpy(x.grad!, dx, 1, P * I);
        pool.give(dx);
      }
    }
    pool.give(dlow);
  });
  return out;
}

/** residual(N,C) + Σⱼ weights(N,K)[n,j] · y(N·K,C)[slots[n,j]] */
export function combine(tape: Tape, y: Value, { weights, slots, K }: Pick<Routing, 'weights' | 'slots' | 'K'>, residual: Value, N: number): Value {
  const { device, pool } = tape;
  const C = residual.width;
  const weighed = y.requiresGrad || weights.requiresGrad;
  const out = tape.value(C, weighed || residual.requiresGrad);
  device.copy(out.data, 0, residual.data, 0, N * C);
  device.combineRows(out.data, y.data, weights.data, slots.data, N, K, C);
  tape.record(out, weighed ? [y, weights, slots] : [], () => {
    if (weighed) {
      // y and weights are read by this op alone, so their gradients are written.
      y.grad = pool.take(K * C);
      if (weights.requiresGrad) weights.grad = pool.take(K);
      device.combineRowsBackward(y.grad, weights.grad, out.grad!, y.data, weights.data, slots.data, N, K, C); // undoes combineRows
    }
    if (residual.requiresGrad) passGrad(tape, out, residual, N); // undoes copy
  });
  return out;
}
