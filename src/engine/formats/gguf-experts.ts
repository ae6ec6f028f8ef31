/**
 * Mixtures of experts as GGUF has them: a layer's experts lie one after another in three tensors (ffn_gate_exps, ffn_up_exps, ffn_down_exps, experts
 * outermost), beside a router (ffn_gate_inp) and maybe an expert that sees every token (…_shexp). Files of early 2024 have a tensor an expert
 * (ffn_gate.0), which are read and not written. Names and keys only: the dense parts are gguf-families.ts'.
 * Follows conversion/ and src/models/ of llama.cpp, whose graphs know no more than this: softmax over all experts, the best K of them.
 */
import type { ModelConfig } from '../model/config.ts';
import type { GgufFamily } from './gguf-families.ts';
import type { GgufValue } from './gguf-tokenizer.ts';

/** What llama.cpp's graph of a family's mixture has built in: the weights of a token's experts sum to 1; experts have a width of their own; there is a shared one. */
export type GgufMixture = { normalised: boolean; ownWidth: boolean; shared: boolean };

/** As many as llama.cpp has room for. */
const MOST_EXPERTS = 1024;

const ROUTER = 'ffn_gate_inp', SHARED_GATE = 'ffn_gate_inp_shexp';
const LINEARS = [['gate', 'ffn_gate'], ['up', 'ffn_up'], ['down', 'ffn_down']] as const;

/** llama.cpp's name of a mixture's module below its layer, and which of the experts in that tensor it is; null: none, or of no mixture. */
export function expertName({ names: { mixture } }: ModelConfig, below: string): { gguf: string; expert: number | null } | null {
  if (!mixture) return null;
  if (below === mixture.router) return { gguf: ROUTER, expert: null };
  if (below === mixture.sharedGate) return { gguf: SHARED_GATE, expert: null };
  for (const [part, gguf] of LINEARS) {
    if (below === `${mixture.shared}.${mixture[part]}`) return { gguf: `${gguf}_shexp`, expert: null };
    if (!below.startsWith(`${mixture.experts}.`) || !below.endsWith(`.${mixture[part]}`)) continue;
    return { gguf: `${gguf}_exps`, expert: Number(below.slice(mixture.experts.length + 1, -mixture[part].length - 1)) };
  }
  return null;
}

/** Hugging Face's modules below the layer that lie in what llama.cpp calls `gguf`: every expert of a …_exps. Empty: none. */
export function expertModules({ names: { mixture: names }, mixture }: ModelConfig, gguf: string): string[] {
  if (!names || !mixture) return [];
  if (gguf === ROUTER) return [names.router];
  if (gguf === SHARED_GATE && names.shared) return [names.sharedGate];
  for (const [part, name] of LINEARS) {
    if (gguf === `${name}_exps`) return Array.from({ length: mixture.numExperts }, (_, e) => `${names.experts}.${e}.${names[part]}`);
    if (gguf === `${name}_shexp` && names.shared) return [`${names.shared}.${names[part]}`];
    const one = gguf.startsWith(`${name}.`) ? gguf.slice(name.length + 1) : '';
    if (/^\d{1,6}$/.test(one) && Number(one) < mixture.numExperts) return [`${names.experts}.${Number(one)}.${names[part]}`];
  }
  return [];
}

/** Whether a tensor holds all experts of a layer. */
export const isFusedExperts = (gguf: string): boolean => /\.ffn_(gate|up|down)_exps\b/.test(gguf);

/** The gate of a shared expert is a row there, a matrix of one row here. */
export const isSharedGate = (gguf: string): boolean => gguf.endsWith(`.${SHARED_GATE}.weight`);

/** Of a mixture: how many experts a layer has, and the parameters of a model with one of each layer; for the size label. Undefined of a dense model. */
export function expertsOf({ mixture, names }: ModelConfig, tensors: { name: string; shape: number[] }[]): { count: number; parameters: number } | undefined {
  if (!mixture) return undefined;
  const { numExperts: count } = mixture;
  const sizeOf = ({ name, shape }: { name: string; shape: number[] }) => shape.reduce((a, b) => a * b, 1) / (name.includes(`.${names.mixture!.experts}.`) ? count : 1);
  return { count, parameters: tensors.reduce((sum, tensor) => sum + sizeOf(tensor), 0) };
}

/** Keys that only a mixture has. */
export function mixtureEntries({ mixture }: ModelConfig, built: GgufMixture | undefined): [name: string, GgufValue][] {
  if (!mixture || !built) return [];
  const entries: [string, GgufValue][] = [['expert_count', { u32: mixture.numExperts }], ['expert_used_count', { u32: mixture.numExpertsPerTok }]];
  if (built.ownWidth) entries.push(['expert_feed_forward_length', { u32: mixture.intermediateSize }]);
  if (built.shared) entries.push(['expert_shared_feed_forward_length', { u32: mixture.sharedIntermediateSize }]);
  return entries;
}

/** The inverse, under the keys of config.json. `number` refuses what is no number above 0; `intermediate`: feed_forward_length. */
export function readMixture(
  { normalised, ownWidth, shared }: GgufMixture, intermediate: number, of: (key: string) => unknown, number: (key: string, otherwise?: number) => number, fail: (what: string) => never,
): Record<string, unknown> {
  const known: [key: string, plain: unknown[]][] = [
    ['expert_gating_func', [0, 1]], ['expert_weights_scale', [0, 1]], ['expert_weights_norm', [normalised]], ['expert_group_count', [0, 1]],
  ];
  for (const [key, plain] of known) {
    const value = of(key);
    if (value !== undefined && !plain.includes(value)) fail(`${key} is ${JSON.stringify(value)}, and llama.cpp's graph of this architecture has no such thing; convert the model again`);
  }
  const [count, used] = [number('expert_count'), number('expert_used_count')];
  if (!ownWidth) return { num_local_experts: count, num_experts_per_tok: used };
  return {
    num_experts: count, num_experts_per_tok: used, norm_topk_prob: normalised, decoder_sparse_step: 1, mlp_only_layers: [],
    // otherwise as llama.cpp reads files that do not say
    moe_intermediate_size: number('expert_feed_forward_length', Math.max(1, Math.floor(intermediate / used))),
    ...(shared ? { shared_expert_intermediate_size: number('expert_shared_feed_forward_length', intermediate) } : {}),
  };
}

/** What of a mixture llama.cpp would compute otherwise. `no` refuses. */
export function checkMixture({ mixture }: ModelConfig, family: GgufFamily, no: (bad: boolean, what: string) => void): void {
  const built = family.mixture;
  if (!built) return;
  no(!mixture?.layers.every(Boolean), 'a layer without experts (mlp_only_layers, decoder_sparse_step)');
  no(mixture!.normTopkProb !== built.normalised, `norm_topk_prob: ${mixture!.normTopkProb}`);
  no(mixture!.numExperts > MOST_EXPERTS, `a layer of more than ${MOST_EXPERTS} experts`);
}
