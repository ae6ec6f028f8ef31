/**
 * A linear layer with everything that may hang on it: bias, a LoRA update (its arithmetic is in lora.ts), DoRA's gain on both (dora.ts) and
 * the residual stream it adds to. out(N,O) = residual + gain ⊙ (x(N,I) · w(O,I)ᵀ + scale · dropout(x) · Aᵀ · Bᵀ) + bias. w may be bf16 when frozen.
 */
import { doraBackward, doraForward } from './dora.ts';
import { loraBackward, loraForward, type LoraUpdate } from './lora.ts';
import { gradToWrite, linearBackwardWeight, passGrad, type Tape, type Value, type Weight, weightGrad } from './tape.ts';

export type LinearWeights = { inFeatures: number; outFeatures: number; weight: Weight; bias: Weight | null };

export function linear(
  tape: Tape, x: Value, layer: LinearWeights, N: number, options: { residual?: Value; lora?: LoraUpdate | null } = {},
): Value {
  const { device } = tape;
  const { inFeatures: I, outFeatures: O, weight, bias } = layer;
  const { residual, lora } = options;
  const trained = weight.trained || (bias?.trained ?? false) || (lora?.a.trained ?? false);
  const out = tape.value(O, trained || x.requiresGrad || (residual?.requiresGrad ?? false));

  if (residual) device.copy(out.data, 0, residual.data, 0, N * O);
  const dora = lora?.dora ?? null;
  const before = dora ? tape.value(O, false) : null; // what the gain multiplies: neither residual nor bias
  if (before) device.linear(before.data, x.data, weight.tensor, null, N, I, O, 1, 0);
  else device.linear(out.data, x.data, weight.tensor, bias ? bias.tensor : null, N, I, O, 1, residual ? 1 : 0);
  const low = lora ? loraForward(tape, before ?? out, x, lora, N, I, O) : null;
  if (before) {
    if (!residual) device.fill(out.data, 0, N * O);
    doraForward(tape, out, before, bias ? bias.tensor : null, dora!, N, O);
  }

  const saved = weight.trained || lora ? [x] : [];
  if (low) saved.push(low);
  if (before) saved.push(before);
  tape.record(out, saved, () => {
    const dbefore = before ? doraBackward(tape, out.grad!, before, dora!, N, O) : null; // undoes doraForward
    const dout = dbefore ?? out.grad!;
    if (lora) loraBackward(tape, dout, x, low!, lora, N, I, O); // undoes loraForward
    if (bias?.trained) device.linearBackwardBias(weightGrad(tape, bias)!, out.grad!, N, O); // undoes linear: + bias
    linearBackwardWeight(tape, weight, dout, x.data, N, I, O, 1); // undoes linear, for w
    if (x.requiresGrad) {
      const { grad, beta } = gradToWrite(tape, x);
      device.linearBackwardInput(grad, dout, weight.tensor, N, I, O, 1, beta); // undoes linear, for x
    }
    if (dbefore) tape.pool.give(dbefore);
    if (residual?.requiresGrad) passGrad(tape, out, residual, N); // undoes copy
  });
  return out;
}
