/**
 * The decoder, written forward only and once for all families: what a family has or has not (biases, QK-norm) is null or not in its
 * weights. Backward is the tape's. The head is not here: language-model.ts ends it in log-probabilities, logits or scores.
 *
 *   x = embedding(tokens)
 *   per layer:  x += o(attention(rope(q), rope(k), v))   of rmsNorm(x)
 *               x += down(act(gate) · up)                of rmsNorm(x)
 */
import { attention } from '../ops/attention.ts';
import { checkpoint } from '../ops/checkpoint.ts';
import { embedding } from '../ops/embedding.ts';
import { gatedActivation } from '../ops/gated-activation.ts';
import { linear } from '../ops/linear.ts';
import type { LoraUpdate } from '../ops/lora.ts';
import { rmsNorm } from '../ops/rms-norm.ts';
import { rope, type RotaryTable } from '../ops/rope.ts';
import type { Tape, Value } from '../ops/tape.ts';
import type { ModelConfig } from './config.ts';
import type { Linear, LayerWeights, Weights } from './parameters.ts';

export type Inputs = {
  N: number;
  S: number;
  tokens: Value; // (N) i32
  positions: Value; // (N) i32
  segments: Value; // (S, 6) i32, see Device.attention
  rotary: RotaryTable;
  /** In decoding: stores the new keys and values of a layer and returns all of them. */
  cache: ((layer: number, keys: Value, values: Value) => { keys: Value; values: Value }) | null;
  lora: (linear: Linear) => LoraUpdate | null;
  gradientCheckpointing: boolean;
};

/** Hidden states (N,C) before the final norm. */
export function transformer(tape: Tape, config: ModelConfig, weights: Weights, inputs: Inputs): Value {
  let x = embedding(tape, weights.embedTokens, inputs.tokens, inputs.N, config.hiddenSize);
  weights.layers.forEach((layer, index) => {
    const run = (on: Tape, input: Value) => decoderLayer(on, config, layer, index, inputs, input);
    const next = inputs.gradientCheckpointing ? checkpoint(tape, x, [inputs.positions, inputs.segments], run) : run(tape, x);
    tape.done(x);
    x = next;
  });
  return x;
}

function decoderLayer(tape: Tape, config: ModelConfig, layer: LayerWeights, index: number, inputs: Inputs, x: Value): Value {
  const { N, S } = inputs;
  const { hiddenSize: C, numAttentionHeads: H, numKeyValueHeads: K, headDim: D, rmsNormEps: eps } = config;
  const project = (input: Value, to: Linear, residual?: Value) => linear(tape, input, to, N, { residual, lora: inputs.lora(to) });

  return tape.scope(() => {
    const attended = tape.scope(() => {
      const normed = rmsNorm(tape, x, layer.inputNorm, N, C, eps);
      let q = project(normed, layer.q);
      let k = project(normed, layer.k);
      const v = project(normed, layer.v);
      if (layer.qNorm) q = rmsNorm(tape, q, layer.qNorm, N, D, eps);
      if (layer.kNorm) k = rmsNorm(tape, k, layer.kNorm, N, D, eps);
      rope(tape, q, inputs.rotary, inputs.positions, N, D);
      rope(tape, k, inputs.rotary, inputs.positions, N, D);
      const { keys, values } = inputs.cache ? inputs.cache(index, k, v) : { keys: k, values: v };
      const mixed = attention(tape, q, keys, values, inputs.segments, N, { S, H, K, D, scale: 1 / Math.sqrt(D) });
      return project(mixed, layer.o, x);
    });
    return tape.scope(() => {
      const normed = rmsNorm(tape, attended, layer.postAttentionNorm, N, C, eps);
      const gate = project(normed, layer.gate);
      const up = project(normed, layer.up);
      return project(gatedActivation(tape, gate, up, N, config.hiddenAct), layer.down, attended);
    });
  });
}
