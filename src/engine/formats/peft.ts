/**
 * LoRA adapters in PEFT's folder layout (adapter_config.json, adapter_model.safetensors), as PEFT 0.21 writes and reads them.
 * Only plain LoRA on linear layers: every feature that would change what the two matrices mean is refused by name, never ignored.
 * Legend: r rank, I inputs, O outputs; the update of a weight (O, I) is loraAlpha / r · B A with A (r, I) and B (O, r).
 */
import { join } from 'node:path';
import type { Lora } from '../../shared/recipe.ts';
import { readScoreHead, type ScoreHead } from '../model/heads.ts';
import { readJsonFile, writeJsonFile } from './json.ts';
import { openSafetensors, writeSafetensors, type TensorSource } from './safetensors.ts';
import { writeFolderBeside, type WrittenFile } from './write-beside.ts';

const CONFIG = 'adapter_config.json';
const WEIGHTS = 'adapter_model.safetensors';
/** Ours, for PEFT has no place for it: names of the labels and the padding token, as the config.json of the whole model would say them. */
const HEAD = 'score_head.json';
const PREFIX = 'base_model.model.';
/** The tensor of a score head beside an adapter. */
export const SCORE = `${PREFIX}score.weight`;

export type ReadAdapter = {
  r: number;
  /** With use_rslora PEFT scales by loraAlpha / √r; here it is already made the loraAlpha that gives the same scale as loraAlpha / r. */
  loraAlpha: number;
  loraDropout: number;
  /** Last parts of the names of the modules that have an update, sorted. */
  targetModules: string[];
  baseModel: string | null;
  /** By module name of the base model, such as model.layers.0.self_attn.q_proj: a (r, I), b (O, r). */
  tensors: Map<string, { a: Float32Array; b: Float32Array }>;
  /** The score head of a reward model or classifier, saved whole (modules_to_save), (labels, C). */
  score: { head: ScoreHead; values: Float32Array } | null;
};

/** Fields that must be off (null, false, empty, or the value given) for an adapter to be plain LoRA. */
const UNSUPPORTED: Record<string, unknown> = {
  bias: 'none',
  lora_bias: false,
  fan_in_fan_out: false,
  use_dora: false,
  rank_pattern: {},
  alpha_pattern: {},
  trainable_token_indices: null,
  target_parameters: null,
  layer_replication: null,
  megatron_config: null,
  alora_invocation_tokens: null,
  use_qalora: false,
  use_bdlora: null,
  arrow_config: null,
  kasa_config: null,
  velora_config: null,
  monteclora_config: null,
};

export async function readAdapter(folder: string): Promise<ReadAdapter> {
  const path = join(folder, CONFIG);
  const config = await readJsonFile(path);
  const fail = (what: string): never => {
    throw new Error(`${path}: ${what}`);
  };
  if (config.peft_type !== 'LORA') fail(`peft_type is ${JSON.stringify(config.peft_type)}; only LORA adapters are read`);
  for (const [field, off] of Object.entries(UNSUPPORTED)) {
    const value = config[field];
    const isOff =
      value === undefined ||
      value === null ||
      value === off ||
      value === false ||
      (typeof value === 'object' && Object.keys(value).length === 0);
    if (!isOff)
      fail(
        `${field} is ${JSON.stringify(value)}, which is not supported; merge the adapter into its base with PEFT, or train one without it`,
      );
  }
  const saved = (config.modules_to_save ?? []) as unknown[];
  // PEFT names both places where a family may keep its head; every family read here keeps it in `score`
  if (!Array.isArray(saved) || saved.some((name) => name !== 'score' && name !== 'classifier')) {
    fail(`modules_to_save is ${JSON.stringify(saved)}, which is not supported (a score head alone can be saved beside an adapter); merge the adapter into its base with PEFT`);
  }
  const r = config.r as number;
  if (!Number.isSafeInteger(r) || r < 1) fail(`r is ${JSON.stringify(r)}; expected a whole number from 1 up`);
  const alpha = config.lora_alpha as number;
  if (typeof alpha !== 'number' || !(alpha > 0)) fail(`lora_alpha is ${JSON.stringify(alpha)}; expected a number above 0`);
  const dropout = (config.lora_dropout ?? 0) as number;
  if (typeof dropout !== 'number' || !(dropout >= 0 && dropout < 1))
    fail(`lora_dropout is ${JSON.stringify(dropout)}; expected 0 or more, below 1`);
  const base = config.base_model_name_or_path;

  const { tensors, score } = await readMatrices(join(folder, WEIGHTS), r);
  if (saved.length > 0 && score === null) fail(`modules_to_save names a score head, but ${WEIGHTS} has none; save the adapter again`);
  return {
    r,
    loraAlpha: config.use_rslora === true ? alpha * Math.sqrt(r) : alpha,
    loraDropout: dropout,
    targetModules: [...new Set([...tensors.keys()].map((name) => name.slice(name.lastIndexOf('.') + 1)))].sort(),
    baseModel: typeof base === 'string' && base !== '' ? base : null,
    tensors,
    score: score && { head: await readHead(folder, score.numLabels), values: score.values },
  };
}

/** What the head's labels are called; of an adapter that does not say, as transformers would call them. */
export async function readHead(folder: string, numLabels: number): Promise<ScoreHead> {
  const named = await readJsonFile(join(folder, HEAD), true);
  const head = readScoreHead(named ?? { num_labels: numLabels });
  if (head.labels.length !== numLabels) {
    throw new Error(`${join(folder, HEAD)}: it names ${head.labels.length} labels, the head in ${WEIGHTS} has ${numLabels}; the files are of different adapters`);
  }
  return head;
}

async function readMatrices(path: string, r: number): Promise<{ tensors: ReadAdapter['tensors']; score: { numLabels: number; values: Float32Array } | null }> {
  const file = await openSafetensors(path);
  try {
    const tensors: ReadAdapter['tensors'] = new Map();
    const head = file.tensors.get(SCORE);
    const score = head ? { numLabels: head.shape[0]!, values: await file.read(SCORE) } : null;
    for (const { name, shape } of file.tensors.values()) {
      if (name === SCORE) continue;
      const match = /^base_model\.model\.(.+)\.lora_([AB])\.weight$/.exec(name);
      if (!match)
        throw new Error(
          `${path}: tensor ${name} is not a LoRA matrix of a linear layer; only these are supported, so merge the adapter with PEFT`,
        );
      const [, module, which] = match;
      const rank = which === 'A' ? shape[0] : shape[1];
      if (shape.length !== 2 || rank !== r) {
        throw new Error(
          `${path}: tensor ${name} has shape [${shape.join(', ')}], not fitting r = ${r} of ${CONFIG}; the files are of different adapters`,
        );
      }
      if (which === 'B') continue;
      const partner = `${PREFIX}${module}.lora_B.weight`;
      if (!file.tensors.has(partner))
        throw new Error(`${path}: tensor ${name} has no partner ${partner}; the adapter is incomplete, save it again`);
      tensors.set(module, { a: await file.read(name), b: await file.read(partner) });
    }
    const pairs = 2 * tensors.size;
    if (pairs === 0) throw new Error(`${path}: it holds no LoRA matrices; save the adapter again`);
    for (const name of file.tensors.keys()) {
      if (name === SCORE) continue;
      const partner = name.replace(/\.lora_B\.weight$/, '.lora_A.weight');
      if (!file.tensors.has(partner))
        throw new Error(`${path}: tensor ${name} has no partner ${partner}; the adapter is incomplete, save it again`);
    }
    return { tensors, score };
  } finally {
    await file.close();
  }
}

/** Writes the folder whole or not at all. Modules are named as in the base model; `a` gives (r, inFeatures), `b` (outFeatures, r). */
export async function writeAdapter(
  out: string,
  adapter: {
    lora: Lora;
    baseModel: string;
    modules: { name: string; a: () => Promise<Float32Array>; b: () => Promise<Float32Array>; inFeatures: number; outFeatures: number }[];
    /** `values` (labels, C) */
    score: { head: ScoreHead; values: Float32Array } | null;
  },
): Promise<WrittenFile[]> {
  const { lora, baseModel, modules, score } = adapter;
  const tensors = modules.flatMap(({ name, a, b, inFeatures, outFeatures }): TensorSource[] => [
    { name: `${PREFIX}${name}.lora_A.weight`, shape: [lora.r, inFeatures], dtype: 'F32', read: a },
    { name: `${PREFIX}${name}.lora_B.weight`, shape: [outFeatures, lora.r], dtype: 'F32', read: b },
  ]);
  if (score) {
    const labels = score.head.labels.length;
    tensors.push({ name: SCORE, shape: [labels, score.values.length / labels], dtype: 'F32', read: async () => score.values });
  }
  // What PEFT itself would fill in by default is left to it; what decides the meaning is said.
  const config = {
    base_model_name_or_path: baseModel,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    lora_alpha: lora.loraAlpha,
    lora_dropout: lora.loraDropout,
    modules_to_save: score ? ['score'] : null,
    peft_type: 'LORA',
    r: lora.r,
    rank_pattern: {},
    alpha_pattern: {},
    target_modules: targetNames(lora.targetModules, modules),
    task_type: score ? 'SEQ_CLS' : 'CAUSAL_LM',
    use_dora: false,
    use_rslora: false,
  };
  return writeFolderBeside(out, CONFIG, async (folder) => [
    { name: WEIGHTS, ...(await writeSafetensors(join(folder, WEIGHTS), tensors)) },
    { name: CONFIG, ...(await writeJsonFile(join(folder, CONFIG), config)) },
    ...(score ? [{ name: HEAD, ...(await writeJsonFile(join(folder, HEAD), describeHead(score.head))) }] : []),
  ]);
}

/** By name also where the recipe says all-linear: PEFT would then look for more linears than the decoder's. */
function targetNames(targetModules: string[], modules: { name: string }[]): string[] {
  const names = targetModules.includes('all-linear') ? modules.map(({ name }) => name.slice(name.lastIndexOf('.') + 1)) : targetModules;
  return [...new Set(names)].sort();
}

function describeHead({ labels, padTokenId }: ScoreHead): Record<string, unknown> {
  return { id2label: Object.fromEntries(labels.map((label, id) => [id, label])), pad_token_id: padTokenId };
}
