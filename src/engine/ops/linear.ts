/**
 * A linear layer with everything that may hang on it: bias, a LoRA update (its arithmetic is in lora.ts) and the residual stream it
 * adds to. out(N,O) = residual + x(N,I) · w(O,I)ᵀ + bias + scale · dropout(x) · Aᵀ · Bᵀ. w may be bf16 when frozen.
 */
import { loraBackward, loraForward, type LoraUpdate } from './lora.ts';
import { gradToWrite, passGrad, type Tape, type Value, type Weight, weightGrad } from './tape.ts';

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
  device.linear(out.data, x.data, weight.tensor, bias ? bias.tensor : null, N, I, O, 1, residual ? 1 : 0);
  const low = lora ? loraForward(tape, out, x, lora, N, I, O) : null;

  const saved = weight.trained || lora ? [x] : [];
  if (low) saved.push(low);
  tape.record(out, saved, () => {
    const dout = out.grad!;
    if (lora) loraBackward(tape, dout, x, low!, lora, N, I, O); // undoes loraForward
    if (bias?.trained) device.linearBackwardBias(weightGrad(tape, bias)!, dout, N, O); // undoes linear: + bias
    if (weight.trained) device.linearBackwardWeight(weightGrad(tape, weight)!, dout, x.data, N, I, O, 1); // undoes linear, for w
    if (x.requiresGrad) {
      const { grad, beta } = gradToWrite(tape, x);
      device.linearBackwardInput(grad, dout, weight.tensor, N, I, O, 1, beta); // undoes linear, for x
    }
    if (residual?.requiresGrad) passGrad(tape, out, residual, N); // undoes copy
  });
  return out;
}
