/**
 * The one table of what GGUF calls a family and its tensors, read by the writer (gguf.ts) and the reader (gguf-reader.ts) alike. Which tensors
 * a model has, of which shapes, is parameters.ts' to say; here they get llama.cpp's names, and their values llama.cpp's order of rows.
 * What of a family llama.cpp computes otherwise than transformers is refused (checkRuns), or told where it only shows in long texts (notesOf).
 * Follows conversion/ and src/models/ of llama.cpp. A family without a row has no GGUF.
 */
import type { ModelConfig } from '../model/config.ts';
import type { Names } from '../model/families.ts';
import { stemOf } from '../model/heads.ts';
import { buildWeights } from '../model/parameters.ts';
import { checkMixture, expertModules, expertName, type GgufMixture } from './gguf-experts.ts';
import { deinterleave, headsToParts, interleave, partsToHeads } from './gguf-layout.ts';

export type GgufFamily = {
  /** llama.cpp's name of the architecture, and the prefix of its keys. */
  architecture: string;
  /** Its graph turns neighbouring rows of a head (interleave); the others turn halves, as Hugging Face does. */
  interleaved?: true;
  /** Which linears may have a bias: any, q, k and v only; or all must. Without it none. */
  biases?: 'any' | 'qkv' | 'all';
  /** Its heads are the hidden size cut in equal parts. */
  wholeHeads?: true;
  /** A head of its own must be there, even where it is the embedding; or cannot be. */
  head?: 'always' | 'never';
  /** Its graph has the activation built in. */
  activation?: string;
  /** Windows: it attends to all tokens whatever the config says; or every n-th layer attends to all and others slide. Without it there are none. */
  windows?: 'ignored' | { every: number };
  /** Every n-th layer is not turned. */
  unturned?: number;
  /** Layers by which it knows the size whose attention scale is of hidden size / heads, as Gemma's largest. */
  largest?: number;
  /** Every layer has experts in place of its MLP, as its graph combines them. */
  mixture?: GgufMixture;
};

/** By the family's key in families.ts. */
export const ggufFamilies: Record<string, GgufFamily> = {
  Llama: { architecture: 'llama', interleaved: true, biases: 'any' },
  Mistral: { architecture: 'llama', interleaved: true, biases: 'any', windows: 'ignored' },
  Qwen2: { architecture: 'qwen2', biases: 'qkv', wholeHeads: true },
  Qwen3: { architecture: 'qwen3', biases: 'qkv' },
  Mixtral: { architecture: 'llama', interleaved: true, windows: 'ignored', mixture: { normalised: true, ownWidth: false, shared: false } },
  Qwen2Moe: { architecture: 'qwen2moe', biases: 'qkv', wholeHeads: true, head: 'always', mixture: { normalised: false, ownWidth: true, shared: true } },
  Qwen3Moe: { architecture: 'qwen3moe', biases: 'qkv', mixture: { normalised: true, ownWidth: true, shared: false } },
  SmolLM3: { architecture: 'smollm3', interleaved: true, biases: 'qkv', unturned: 4 },
  Gemma: { architecture: 'gemma', biases: 'qkv', head: 'never', activation: 'gelu_pytorch_tanh' },
  Gemma2: { architecture: 'gemma2', biases: 'qkv', head: 'never', activation: 'gelu_pytorch_tanh', windows: { every: 2 }, largest: 46 },
  Gemma3: { architecture: 'gemma3', biases: 'qkv', activation: 'gelu_pytorch_tanh', windows: { every: 6 }, largest: 62 },
  Phi3: { architecture: 'phi3', wholeHeads: true, windows: 'ignored' },
  Olmo2: { architecture: 'olmo2', biases: 'qkv', wholeHeads: true, head: 'always' },
  StableLm: { architecture: 'stablelm', biases: 'qkv', wholeHeads: true, head: 'always' },
  GPTNeoX: { architecture: 'gptneox', biases: 'all', wholeHeads: true, head: 'always', activation: 'gelu' },
  GPT2: { architecture: 'gpt2', biases: 'all', wholeHeads: true, activation: 'gelu_pytorch_tanh' },
};

type Part = Exclude<keyof Names, 'mixture'>;
/** Modules of a layer by their part in Names. */
const LAYER: [part: Part, gguf: string][] = [
  ['inputNorm', 'attn_norm'], ['qkv', 'attn_qkv'], ['q', 'attn_q'], ['k', 'attn_k'], ['v', 'attn_v'], ['o', 'attn_output'],
  ['qNorm', 'attn_q_norm'], ['kNorm', 'attn_k_norm'], ['afterAttentionNorm', 'post_attention_norm'], ['mlpNorm', 'ffn_norm'],
  ['gateUp', 'ffn_up'], ['gate', 'ffn_gate'], ['up', 'ffn_up'], ['down', 'ffn_down'], ['afterMlpNorm', 'post_ffw_norm'],
];
const TRUNK: [part: Part, gguf: string][] = [['embed', 'token_embd'], ['positions', 'position_embd'], ['norm', 'output_norm'], ['head', 'output']];

function ggufFamilyOf({ architecture }: ModelConfig): GgufFamily | null {
  const stem = stemOf(architecture);
  return stem !== null && Object.hasOwn(ggufFamilies, stem) ? ggufFamilies[stem]! : null;
}

/** The family's row; `fail` throws for one without. */
export function familyOf(config: ModelConfig, fail: (what: string) => never): GgufFamily {
  return ggufFamilyOf(config) ?? fail(`${config.architecture} is none of ${Object.keys(ggufFamilies).join(', ')}, which go to llama.cpp; export safetensors instead`);
}

/** A tensor under both names; `shape` is ours, out before in, outermost first. Experts share one name there: `expert` says which of them it is. */
export type NamedTensor = { huggingFace: string; gguf: string; shape: number[]; layer: number | null; expert: number | null };

/** All tensors of a model, the head of a tied one left out, in the order they are written. */
export function ggufTensors(config: ModelConfig): NamedTensor[] {
  const tensors: NamedTensor[] = [];
  buildWeights(config, (huggingFace, shape) => {
    const suffix = huggingFace.slice(huggingFace.lastIndexOf('.'));
    const { gguf, ...place } = moduleName(config, huggingFace.slice(0, -suffix.length));
    tensors.push({ huggingFace, gguf: gguf + suffix, shape, ...place });
    return undefined as never; // only names and shapes are asked for here
  });
  return tensors;
}

/** llama.cpp's name of a module, such as blk.0.attn_q. */
export function moduleName(config: ModelConfig, module: string): { gguf: string; layer: number | null; expert: number | null } {
  const { names } = config;
  if (!module.startsWith(`${names.layers}.`)) return { gguf: known(TRUNK.find(([part]) => names[part] === module), module), layer: null, expert: null };
  const [layer] = module.slice(names.layers.length + 1).split('.', 1) as [string];
  const below = module.slice(names.layers.length + layer.length + 2);
  const { gguf, expert } = expertName(config, below) ?? { gguf: known(LAYER.find(([part]) => names[part] === below), module), expert: null };
  return { gguf: `blk.${layer}.${gguf}`, layer: Number(layer), expert };
}

function known(row: [Part, string] | undefined, module: string): string {
  if (row) return row[1];
  throw new Error(`${module}: llama.cpp has no name for this module; export safetensors instead`);
}

/** Hugging Face's names of what llama.cpp calls `gguf`, without suffixes: of experts that lie one after another all, else one. Empty: none. */
export function huggingFaceModules(config: ModelConfig, gguf: string): string[] {
  const { names } = config;
  const [, layer, part] = /^blk\.(\d+)\.(.+)$/.exec(gguf) ?? [];
  const found = (part === undefined ? TRUNK : LAYER).find(([key, name]) => name === (part ?? gguf) && names[key] !== null && isThere(config, key));
  const modules = found ? [names[found[0]]!] : part === undefined ? [] : expertModules(config, part);
  return layer === undefined ? modules : modules.map((module) => `${names.layers}.${layer}.${module}`);
}

/** ffn_up is two modules' name: a model has the one or the other. */
const isThere = ({ names }: ModelConfig, part: Part): boolean => part !== 'up' || names.gateUp === null;

/** Rows of a module's weight, bias or LoRA B as llama.cpp wants them: of a matrix (rows, columns). */
export function arrange(config: ModelConfig, module: string, values: Float32Array, shape: number[]): Float32Array {
  const heads = turnedHeads(config, module);
  if (heads > 0) return interleave(values, shape, heads);
  return isFusedByHeads(config, module) ? headsToParts(values, config.numAttentionHeads) : values;
}

/** The inverse of arrange; rows may be bytes. */
export function arrangeBack<T extends Float32Array | Uint8Array>(config: ModelConfig, module: string, values: T, shape: number[]): T {
  const heads = turnedHeads(config, module);
  if (heads > 0) return deinterleave(values, shape, heads);
  return isFusedByHeads(config, module) ? partsToHeads(values, config.numAttentionHeads) : values;
}

/** Whether arrange moves a module's rows. */
export const isArranged = (config: ModelConfig, module: string): boolean => turnedHeads(config, module) > 0 || isFusedByHeads(config, module);

/** Heads of q or k where llama.cpp turns neighbouring rows, else 0. */
function turnedHeads(config: ModelConfig, module: string): number {
  const { names, numAttentionHeads, numKeyValueHeads } = config;
  if (!ggufFamilyOf(config)?.interleaved) return 0;
  return module.endsWith(`.${names.q}`) ? numAttentionHeads : module.endsWith(`.${names.k}`) ? numKeyValueHeads : 0;
}

const isFusedByHeads = ({ fusedQkv, names }: ModelConfig, module: string): boolean => fusedQkv === 'heads' && module.endsWith(`.${names.qkv}`);

/** Gemma's norms count from 1; llama.cpp's do not. Only this rounds: w + 1 may need a bit more than w has. */
export const isShiftedNorm = ({ normOffset }: ModelConfig, gguf: string): boolean => normOffset === 1 && gguf.endsWith('norm.weight');

/** Throws a sentence where llama.cpp would compute something else than this model does. */
export function checkRuns(config: ModelConfig, family: GgufFamily, fail: (what: string) => never): void {
  const { layers, headDim, hiddenSize, numAttentionHeads } = config;
  const no = (bad: boolean, what: string): void => {
    if (bad) fail(`${what} has no counterpart in llama.cpp's ${family.architecture}; export safetensors instead`);
  };
  const { biases } = family;
  const [qkv, others] = [config.qkvBias, config.outputBias || config.mlpBias];
  if (biases === 'all') no(!config.qkvBias || !config.outputBias, 'attention without biases (attention_bias)');
  else if (biases !== 'any') no(others || (qkv && biases !== 'qkv'), `a bias of ${others ? 'the output or MLP linears' : 'q, k and v'}`);
  no(family.wholeHeads === true && headDim * numAttentionHeads !== hiddenSize, `head_dim ${headDim} of ${numAttentionHeads} heads in a hidden size of ${hiddenSize}`);
  no(config.hiddenAct !== (family.activation ?? 'silu'), `the activation ${config.hiddenAct}`);
  no(family.head === 'never' && !config.tieWordEmbeddings, 'a head that is not the embedding');
  const usual = 1 / Math.sqrt(family.largest === config.numHiddenLayers ? Math.floor(hiddenSize / numAttentionHeads) : headDim);
  no(config.attentionScale !== null && Math.abs(config.attentionScale / usual - 1) > 1e-6, `a scale of attention other than ${usual.toPrecision(4)} (query_pre_attn_scalar)`);
  no((config.attentionCap > 0) !== (family.architecture === 'gemma2'), config.attentionCap > 0 ? 'attn_logit_softcapping' : 'a Gemma 2 without attn_logit_softcapping');
  no(config.logitCap > 0 && family.architecture !== 'gemma2' && family.architecture !== 'gemma3', 'final_logit_softcapping');
  no(config.logitCap === 0 && family.architecture === 'gemma2', 'a Gemma 2 without final_logit_softcapping');
  no(family.windows === undefined && layers.some(({ window }) => window > 0), 'use_sliding_window');
  const widths = new Set(layers.map(({ window }) => window).filter((window) => window > 0));
  no(widths.size > 1, 'more than one width of sliding windows');
  if (typeof family.windows === 'object' && family.architecture === 'gemma2') no(widths.size === 0, 'a Gemma 2 without sliding_window');
  checkMixture(config, family, no);
  const unturned = (layer: number): boolean => family.unturned !== undefined && (layer + 1) % family.unturned === 0;
  if (config.names.positions === null) no(layers.some(({ rope }, i) => (rope === null) !== unturned(i)), 'this choice of no_rope_layers');
}

/** What is so in llama.cpp and differs from the model where texts are long, or in the last digits; for the model card. */
export function notesOf(config: ModelConfig): string[] {
  const family = ggufFamilyOf(config)!;
  const window = Math.max(...config.layers.map((layer) => layer.window));
  const long = config.ropes.find(({ scaling }) => scaling.ropeType === 'longrope')?.scaling;
  return [
    ...(family.windows === 'ignored' && window > 0 && window < config.maxPositionEmbeddings
      ? [`The model attends to the last ${window} tokens, llama.cpp to all: texts longer than that may be answered otherwise there.`] : []),
    ...(long?.ropeType === 'longrope' && long.originalMaxPositionEmbeddings < config.maxPositionEmbeddings
      ? [`llama.cpp chooses between the short and the long frequencies by its context size (-c), the model by the text: for texts up to ${long.originalMaxPositionEmbeddings} tokens run it with -c ${long.originalMaxPositionEmbeddings}.`] : []),
    ...(config.hiddenAct === 'gelu' ? ['The model has the exact GELU, llama.cpp its approximation by tanh: logits differ in the third digit or so.'] : []),
  ];
}
