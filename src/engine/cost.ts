/**
 * What training takes, by formula: floating point operations of a row and bytes of a run, from the model's shapes and the recipe alone.
 * Counted the usual way (a multiply-add is two operations; norms, activations and softmax are left out), so that FLOP/s of different
 * models compare. Bytes follow what the tape keeps (transformer.ts, ops/). Checked against real runs in src/main/runs/estimate.test.ts.
 *
 * Dims as in device.ts; P tokens of a shared prompt.
 */
import type { Recipe } from '../shared/recipe.ts';
import type { RowLengths } from '../shared/job.ts';
import { storageBytes } from './formats/weight-blocks.ts';
import { keptStorage, storageOf } from './model/base-weights.ts';
import type { ModelConfig } from './model/config.ts';
import { type LoraSetting, targetLinears } from './model/lora.ts';
import { keptLogits } from './ops/logprob.ts';
import { buildWeights, decoderLinears, type Linear, type Parameter, SCORE } from './model/parameters.ts';

export type Shapes = {
  config: ModelConfig;
  lora: LoraSetting | null;
  /** Only the score head is trained. */
  headOnly: boolean;
  gradientCheckpointing: boolean;
  /** Frozen matrices stay in bf16: under LoRA, where the folder has them so. */
  bf16: boolean;
  /** What the folder stores each tensor as, where more is known than that. */
  dtypeOf?: (name: string) => string | undefined;
};

export type Parameters = {
  /** Of the base; a tied head counts once. */
  base: number;
  /** Of base and adapter, those a token goes through: in a mixture of experts all but the experts it is not routed to. */
  active: number;
  adapter: number;
  trainable: number;
  /** Bytes of all, as they lie in memory. */
  bytes: number;
};

export function countParameters({ config, lora, headOnly, bf16, dtypeOf = () => (bf16 ? 'BF16' : 'F32') }: Shapes): Parameters {
  const { all, linears } = outline(config);
  const score = (config.numLabels ?? 0) * config.hiddenSize;
  let [base, active, bytes] = [0, 0, 0];
  for (const { name, shape } of all) {
    const length = shape.reduce((a, b) => a * b, 1);
    base += length;
    active += length * sharePassed(config, name);
    bytes += storageBytes(lora && name !== SCORE ? keptStorage(config, name, shape, dtypeOf(name), storageOf(lora.baseWeights)) : 'f32', length);
  }
  const adapter = lora ? adapterSize(linears, lora) : 0;
  active += lora ? adapterSize(linears, lora, config) : 0;
  return { base, active: Math.round(active), adapter, trainable: lora ? adapter + score : headOnly ? score : base, bytes: bytes + 4 * adapter };
}

/** Forward and backward of one row. `forwardOnly`: an evaluation. A head alone is trained on features that one such pass has made. */
export function rowFlops({ config, lora, headOnly, gradientCheckpointing }: Shapes, row: RowLengths, forwardOnly = false): number {
  const { linears } = outline(config);
  const { tokens, pairs, sites } = rowSizes(row);
  const weights = linears.reduce((sum, { name, inFeatures, outFeatures }) => sum + sharePassed(config, name) * inFeatures * outFeatures, 0) + routerSize(config);
  const adapter = lora ? adapterSize(linears, lora, config) : 0;
  const width = config.numHiddenLayers * config.numAttentionHeads * config.headDim;
  const layers = tokens * 2 * (weights + adapter) + pairs * 4 * width;
  const head = sites * 2 * config.hiddenSize * (config.numLabels ?? config.vocabSize); // a score head reads one site a text: too little to count apart
  if (forwardOnly) return layers + head;
  if (headOnly) return 2 * head;
  // the gradient of inputs costs one more forward of the linears, that of trained weights another; attention runs five products backward to two forward
  const layersBackward = tokens * 2 * ((lora ? 1 : 2) * weights + 2 * adapter) + pairs * 10 * width;
  const headBackward = head * (lora ? 1 : 2); // from the logits kept; what ops/logprob.ts does not keep is made again
  return layers + head + layersBackward + headBackward + (gradientCheckpointing ? layers : 0);
}

/** What a row takes in a step of its method: ORPO's prompts carry loss, too; KTO runs every prompt forward with another answer for its KL. */
export function stepFlops(recipe: Recipe, shapes: Shapes, row: RowLengths): number {
  const flops = rowFlops(shapes, row);
  if (recipe.method === 'orpo') return flops + (row[0] - 1) * 2 * shapes.config.hiddenSize * shapes.config.vocabSize * (shapes.lora ? 2 : 3);
  return recipe.method === 'kto' && recipe.lossType === 'kto' ? flops + rowFlops(shapes, row, true) : flops;
}

/** Tokens the model computes, query-key pairs its attention does, and sites that carry loss. */
export function rowSizes(row: RowLengths): { tokens: number; pairs: number; sites: number } {
  const causal = (n: number) => (n * (n + 1)) / 2;
  if (row.length === 2) return { tokens: row[0], pairs: causal(row[0]), sites: row[1] };
  const [P, ...answers] = row;
  const sites = answers.reduce((sum, length) => sum + length, 0);
  return { tokens: P + sites, pairs: answers.reduce((sum, length) => sum + causal(length), causal(P) + P * sites), sites };
}

/** The largest micro-batch of a step, and whether others of the same step go before it. */
export type MicroBatch = { tokens: number; sites: number; accumulated: boolean };

/**
 * Bytes that activations take beyond all gradients, at the fullest moment of a step. Gradients come to be in backward, where activations were
 * (ops/pool.ts), so it is one of three: all layers' activations and the logits under the head's gradient; the last layer's backward, or the
 * first's, by which all gradients are there.
 */
export function activationBytes(shapes: Shapes, { tokens: N, sites: M, accumulated }: MicroBatch): number {
  const { config, lora, headOnly, gradientCheckpointing } = shapes;
  const { hiddenSize: C, intermediateSize: F, numHiddenLayers: L, numAttentionHeads: H, numKeyValueHeads: K, headDim: D, vocabSize: V } = config;
  const { linears } = outline(config);
  const adapted = lora ? targetLinears(linears, lora.targetModules) : [];
  const { routed, ...experts } = expertWidths(config);
  // The outputs of the norms and of the gated activation are made again in backward (ops/tape.ts), so they are not here.
  const ranks = lora ? lora.r * adapted.reduce((sum, { name }) => sum + sharePassed(config, name), 0) : 0;
  const perLayer =
    C + 1 + // the layer's input and its norm's 1/σ
    (H + 2 * K) * D + (config.qkNorm ? (H + K) * (D + 1) : 0) +
    H * D + H + // attention's output and log-sum-exp
    C + 1 +
    (1 - routed) * 2 * F + routed * experts.kept +
    ranks / L +
    (lora?.useDora ? adapted.reduce((sum, { outFeatures }) => sum + outFeatures, 0) / L : 0); // what the gain multiplies
  const layers = N * (headOnly ? perLayer : gradientCheckpointing ? L * C : L * perLayer); // a frozen trunk keeps nothing
  const layer = N * ((gradientCheckpointing ? perLayer : 0) + Math.max(routed < 1 ? 3 * F : 0, routed > 0 ? experts.passing : 0) + 3 * C); // one made again, and gradients on their way
  const logits = (config.numLabels === null ? keptLogits(M, V, layers) : 0) + 3 * N * C; // and the gathered rows, the last norm, their gradient

  const all = countParameters(shapes).trainable;
  const head = lora || headOnly ? 0 : (config.numLabels ?? V) * C;
  const perLayerGradients = (all - head) / L;
  const [atHead, atLast] = accumulated ? [all, all] : [head, head + perLayerGradients];
  const fullest = Math.max(layers + logits + atHead, layers + layer + atLast, layers / L + layer + all);
  return 4 * (PLACED * fullest - all);
}

/** Of the pool's block, for what is used in it: places lie between others. Measured: 1.02 at M, 1.06 at S, 1.14 at D. */
const PLACED = 1.06;

/** Those a token goes through, of a mixture of experts; null of a dense model. */
export const activeParameters = (config: ModelConfig): number | null =>
  config.mixture ? countParameters({ config, lora: null, headOnly: false, gradientCheckpointing: false, bf16: false }).active : null;

/** With a config, as much of it as a token goes through. */
function adapterSize(linears: Linear[], lora: LoraSetting, config?: ModelConfig): number {
  const share = (name: string) => (config ? sharePassed(config, name) : 1);
  return targetLinears(linears, lora.targetModules).reduce((sum, { name, inFeatures, outFeatures }) => sum + share(name) * (lora.r * (inFeatures + outFeatures) + (lora.useDora ? outFeatures : 0)), 0);
}

/** How much of the tensors of such a name a token goes through: of experts as many as it is routed to. */
function sharePassed({ mixture, names }: ModelConfig, name: string): number {
  return mixture && name.includes(`.${names.mixture!.experts}.`) ? mixture.numExpertsPerTok / mixture.numExperts : 1;
}

/** Weights of all routers. */
function routerSize({ mixture, hiddenSize }: ModelConfig): number {
  return mixture ? mixture.layers.filter(Boolean).length * mixture.numExperts * hiddenSize : 0;
}

/** Of a layer with experts, elements a token: what is kept for backward, and what passes in it; and the share of layers that are so. */
function expertWidths({ mixture, hiddenSize: C }: ModelConfig): { routed: number; kept: number; passing: number } {
  if (!mixture) return { routed: 0, kept: 0, passing: 0 };
  const { numExperts: E, numExpertsPerTok: K, intermediateSize: F, sharedIntermediateSize: S } = mixture;
  return {
    routed: mixture.layers.filter(Boolean).length / mixture.layers.length,
    // the normed input, from which experts' rows are gathered again; probs, choices, weights and places; gate, up and output of experts; of the shared one
    kept: C + E + 4 * K + K * (2 * F + C) + (S > 0 ? 2 * S + C + 2 : 0),
    passing: K * (3 * F + 3 * C),
  };
}

const outlines = new WeakMap<ModelConfig, { all: Pick<Parameter, 'name' | 'shape'>[]; linears: Linear[] }>();

/** Every parameter of the config by name and shape, without a tensor behind it. */
function outline(config: ModelConfig): { all: Pick<Parameter, 'name' | 'shape'>[]; linears: Linear[] } {
  let known = outlines.get(config);
  if (!known) {
    const all: Pick<Parameter, 'name' | 'shape'>[] = [];
    const weights = buildWeights(config, (name, shape) => {
      const parameter = { name, shape };
      all.push(parameter);
      return parameter as Parameter; // only names and shapes are asked for here
    });
    known = { all, linears: decoderLinears(weights) };
    outlines.set(config, known);
  }
  return known;
}
