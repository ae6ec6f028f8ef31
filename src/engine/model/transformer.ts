/**
 * The decoder, written forward only and once for all families: what a family has or has not is null or not in its weights, the rest are
 * the config's traits (families.ts). Backward is the tape's. The head is not here: language-model.ts ends it in log-probabilities, logits or scores.
 *
 *   x = embedding(tokens)
 *   per layer:  x += o(attention(rope(q), rope(k), v))   of norm(x)
 *               x += down(act(gate) · up)                of norm(x), or a mixture's (mixture.ts)
 */
import type { Activation, PlainActivation } from '../device/device.ts';
import { activation } from '../ops/activation.ts';
import { add, scaled } from '../ops/add.ts';
import { attention } from '../ops/attention.ts';
import { checkpoint } from '../ops/checkpoint.ts';
import { columns } from '../ops/columns.ts';
import { embedding } from '../ops/embedding.ts';
import type { Balance } from '../ops/experts.ts';
import { gatedActivation } from '../ops/gated-activation.ts';
import { layerNorm } from '../ops/layer-norm.ts';
import { linear } from '../ops/linear.ts';
import { localAttention } from '../ops/local-attention.ts';
import type { LoraUpdate } from '../ops/lora.ts';
import { rmsNorm } from '../ops/rms-norm.ts';
import { rope, type RotaryTable } from '../ops/rope.ts';
import type { Tape, Value } from '../ops/tape.ts';
import type { ModelConfig } from './config.ts';
import { mixture } from './mixture.ts';
import type { Linear, LayerWeights, Norm, Weights } from './parameters.ts';

export type Inputs = {
  N: number;
  S: number;
  tokens: Value; // (N) i32
  positions: Value; // (N) i32
  rotaryRows: Value; // (N) i32, rows of the tables: see rope-table.ts
  segments: Value; // (S, 6) i32, see Device.attention
  /** One of each of the config's ropes. */
  rotary: RotaryTable[];
  /** (N) i32, 0 … N − 1, where there is a shared expert; and the router's load, where it is trained. */
  order: Value | null;
  balance: Balance | null;
  /** Keys of the longest text: a window of as many lets all through. */
  longest: number;
  /** In decoding: stores the new keys and values of a layer and returns all of them. */
  cache: ((layer: number, keys: Value, values: Value) => { keys: Value; values: Value }) | null;
  lora: (linear: Linear) => LoraUpdate | null;
  gradientCheckpointing: boolean;
};

/** Hidden states (N,C) before the final norm. */
export function transformer(tape: Tape, config: ModelConfig, weights: Weights, inputs: Inputs): Value {
  let x = embed(tape, config, weights, inputs);
  weights.layers.forEach((layer, index) => {
    const run = (on: Tape, input: Value) => decoderLayer(on, config, layer, index, inputs, input);
    const read = [inputs.positions, inputs.rotaryRows, inputs.segments, ...(inputs.order ? [inputs.order] : [])];
    const next = inputs.gradientCheckpointing ? checkpoint(tape, x, read, run) : run(tape, x);
    tape.done(x);
    x = next;
  });
  return x;
}

function embed(tape: Tape, { hiddenSize: C, embeddingScale }: ModelConfig, { embedTokens, embedPositions }: Weights, { N, tokens, positions }: Inputs): Value {
  const plain = embedding(tape, embedTokens, tokens, N, C);
  const scaledUp = embeddingScale === 1 ? plain : scaled(tape, plain, embeddingScale, N);
  return embedPositions ? add(tape, scaledUp, embedding(tape, embedPositions, positions, N, C), N) : scaledUp;
}

/** RMSNorm or LayerNorm of rows of C. */
export function normed(tape: Tape, config: ModelConfig, x: Value, { weight, bias }: Norm, N: number): Value {
  const { hiddenSize: C, normEps: eps, normOffset } = config;
  return bias ? layerNorm(tape, x, weight, bias, N, C, eps) : rmsNorm(tape, x, weight, N, C, eps, normOffset);
}

function decoderLayer(tape: Tape, config: ModelConfig, layer: LayerWeights, index: number, inputs: Inputs, x: Value): Value {
  const { N } = inputs;
  const maybeNormed = (input: Value, norm: Norm | null) => (norm ? normed(tape, config, input, norm, N) : input);
  /** residual + the branch's last linear, normed on the way where the family norms there. */
  const close = (input: Value, to: Linear, norm: Norm | null, residual: Value): Value =>
    norm ? add(tape, residual, normed(tape, config, project(input, to), norm, N), N) : project(input, to, residual);
  const project = (input: Value, to: Linear, residual?: Value) => linear(tape, input, to, N, { residual, lora: inputs.lora(to) });

  return tape.scope(() => {
    const attended = tape.scope(() => {
      const mixed = attend(tape, config, layer, index, inputs, maybeNormed(x, layer.inputNorm), project);
      return close(mixed, layer.o, layer.afterAttentionNorm, x);
    });
    return tape.scope(() => {
      const input = maybeNormed(config.parallel ? x : attended, config.sharedNorm ? layer.inputNorm : layer.mlpNorm);
      if (layer.mixture) return mixture(tape, config, layer.mixture, index, inputs, input, attended);
      return close(expand(tape, config, layer, input, N, project), layer.down!, layer.afterMlpNorm, attended);
    });
  });
}

type Project = (input: Value, to: Linear) => Value;

/** q, k and v of the normed input, turned, and what attention mixes of them. */
function attend(tape: Tape, config: ModelConfig, layer: LayerWeights, index: number, inputs: Inputs, input: Value, project: Project): Value {
  const { N, S, segments } = inputs;
  const { numAttentionHeads: H, numKeyValueHeads: K, headDim: D, normEps: eps, qkNorm, normOffset, attentionCap: cap } = config;
  const { window, rope: which } = config.layers[index]!;
  const [rawQ, rawK, v] = layer.qkv ? split(tape, config, project(input, layer.qkv), N) : [project(input, layer.q!), project(input, layer.k!), project(input, layer.v!)];
  const q = layer.qNorm ? rmsNorm(tape, rawQ, layer.qNorm, N, qkNorm === 'all' ? H * D : D, eps, normOffset) : rawQ;
  const k = layer.kNorm ? rmsNorm(tape, rawK, layer.kNorm, N, qkNorm === 'all' ? K * D : D, eps, normOffset) : rawK;
  if (which !== null) for (const x of [q, k]) rope(tape, x, inputs.rotary[which]!, inputs.rotaryRows, N, D);
  const { keys, values } = inputs.cache ? inputs.cache(index, k, v) : { keys: k, values: v };
  const shape = { S, H, K, D, scale: config.attentionScale ?? 1 / Math.sqrt(D) };
  const local = cap > 0 || (window > 0 && window < inputs.longest);
  return local ? localAttention(tape, q, keys, values, segments, N, { ...shape, window, cap }) : attention(tape, q, keys, values, segments, N, shape);
}

/** A fused qkv (N, H·D + 2·K·D) in its three parts. */
function split(tape: Tape, config: ModelConfig, qkv: Value, N: number): [Value, Value, Value] {
  const { numAttentionHeads: H, numKeyValueHeads: K, headDim: D } = config;
  if (config.fusedQkv === 'heads') {
    const of = (part: number) => columns(tape, qkv, N, { offset: part * D, width: D, stride: 3 * D, pieces: H });
    return [of(0), of(1), of(2)];
  }
  const of = (offset: number, heads: number) => columns(tape, qkv, N, { offset, width: heads * D, stride: (H + 2 * K) * D, pieces: 1 });
  return [of(0, H), of(H * D, K), of((H + K) * D, K)];
}

/** The MLP but for its last linear: act(gate) · up, or act(up). */
function expand(tape: Tape, config: ModelConfig, layer: LayerWeights, input: Value, N: number, project: Project): Value {
  const { intermediateSize: F, hiddenAct } = config;
  if (!config.gated) return activation(tape, project(input, layer.up!), N, hiddenAct as PlainActivation);
  if (!layer.gateUp) {
    const gate = project(input, layer.gate!);
    return gatedActivation(tape, gate, project(input, layer.up!), N, hiddenAct as Activation);
  }
  const both = project(input, layer.gateUp);
  const half = (offset: number) => columns(tape, both, N, { offset, width: F, stride: 2 * F, pieces: 1 });
  return gatedActivation(tape, half(0), half(F), N, hiddenAct as Activation);
}
