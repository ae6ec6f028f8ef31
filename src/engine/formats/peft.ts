/**
 * LoRA adapters in PEFT's folder layout (adapter_config.json, adapter_model.safetensors), as PEFT 0.21 writes and reads them: LoRA, rsLoRA and DoRA,
 * ranks and alphas of single modules, and tensors saved whole. A feature that would change what the matrices mean in another way is refused by name.
 * Legend: r rank, I inputs, O outputs; the update of a weight (O, I) is scale · B A with A (r, I) and B (O, r).
 */
import { join } from 'node:path';
import { brief } from '../../shared/brief.ts';
import type { BaseWeights, Lora } from '../../shared/recipe.ts';
import { readScoreHead, type ScoreHead } from '../model/heads.ts';
import type { ModuleUpdate, ReadAdapter as Adapter } from '../model/lora.ts';
import { readBaseWeights, writeBaseWeights } from './base-weights.ts';
import { readJsonFile, writeJsonFile } from './json.ts';
import { openSafetensors, type Safetensors, writeSafetensors, type TensorSource } from './safetensors.ts';
import { writeFolderBeside, type WrittenFile } from './write-beside.ts';

const CONFIG = 'adapter_config.json';
const WEIGHTS = 'adapter_model.safetensors';
/** Ours, for PEFT has no place for it: names of the labels and the padding token, as the config.json of the whole model would say them. */
const HEAD = 'score_head.json';
const PREFIX = 'base_model.model.';
/** The tensor of a score head beside an adapter. */
export const SCORE = `${PREFIX}score.weight`;

/** With use_rslora PEFT scales by loraAlpha / √r; `loraAlpha` is already made the one that gives the same scale as loraAlpha / r. `baseWeights`: how the base was kept when it was trained. */
export type ReadAdapter = Adapter & { baseModel: string | null; baseWeights: BaseWeights };

/** Fields that must be off (null, false, empty, or the value given) for an adapter to be one of those above. */
const UNSUPPORTED: Record<string, unknown> = {
  bias: 'none',
  lora_bias: false,
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
/** The other ways to start an adapter (PiSSA, OLoRA, LoftQ, CorDA …) change the base itself, which the adapter's matrices then belong to. */
const PLAIN_STARTS = [undefined, null, true, false, 'gaussian', 'orthogonal', 'eva'];

export async function readAdapter(folder: string): Promise<ReadAdapter> {
  const path = join(folder, CONFIG);
  const config = await readJsonFile(path);
  const fail = (what: string): never => {
    throw new Error(`${path}: ${brief(what)}`);
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
  if (!PLAIN_STARTS.includes(config.init_lora_weights as string)) {
    fail(`init_lora_weights is ${JSON.stringify(config.init_lora_weights)}, which changes the base model too; convert the adapter with PEFT (path_initial_model_for_weight_conversion), or merge it into its base there`);
  }
  const r = config.r as number;
  if (!Number.isSafeInteger(r) || r < 1) fail(`r is ${JSON.stringify(r)}; expected a whole number from 1 up`);
  const alpha = config.lora_alpha as number;
  if (typeof alpha !== 'number' || !(alpha > 0)) fail(`lora_alpha is ${JSON.stringify(alpha)}; expected a number above 0`);
  const dropout = (config.lora_dropout ?? 0) as number;
  if (typeof dropout !== 'number' || !(dropout >= 0 && dropout < 1))
    fail(`lora_dropout is ${JSON.stringify(dropout)}; expected 0 or more, below 1`);
  const ranks = readPattern(config.rank_pattern, 'rank_pattern', path);
  const alphas = readPattern(config.alpha_pattern, 'alpha_pattern', path);
  const isRs = config.use_rslora === true;
  const base = config.base_model_name_or_path;

  const file = await openSafetensors(join(folder, WEIGHTS));
  try {
    const { tensors, saved } = await readTensors(file, join(folder, WEIGHTS), config.use_dora === true, (module) => {
      const rank = ranks(module) ?? r;
      return { r: rank, scale: (alphas(module) ?? alpha) / (isRs ? Math.sqrt(rank) : rank) };
    });
    const modules = config.modules_to_save ?? [];
    if (!Array.isArray(modules)) fail(`modules_to_save is ${JSON.stringify(modules)}; expected a list of names`);
    for (const name of modules as unknown[]) {
      // PEFT names both places where a family may keep its score head; every family read here keeps it in `score`
      const isThere = name === 'classifier' || [...saved.keys()].some((tensor) => tensor.split('.').includes(String(name)));
      if (!isThere) fail(`modules_to_save names ${JSON.stringify(name)}, but ${WEIGHTS} has nothing of it; save the adapter again`);
    }
    // a score head is a module saved whole, but not one of the base: it stands in place of the LM head
    const head = saved.get('score.weight');
    saved.delete('score.weight');
    return {
      r,
      loraAlpha: isRs ? alpha * Math.sqrt(r) : alpha,
      loraDropout: dropout,
      targetModules: [...new Set([...tensors.keys()].map((name) => name.slice(name.lastIndexOf('.') + 1)))].sort(),
      baseModel: typeof base === 'string' && base !== '' ? base : null,
      baseWeights: await readBaseWeights(folder),
      tensors,
      saved,
      score: head ? { head: await readHead(folder, head.shape[0]!), values: head.values } : null,
    };
  } finally {
    await file.close();
  }
}

/** PEFT's rank_pattern and alpha_pattern: the first key whose regular expression is the end of the module's name, from a dot on. */
function readPattern(value: unknown, field: string, path: string): (module: string) => number | undefined {
  if (value === undefined || value === null) return () => undefined;
  if (typeof value !== 'object' || Array.isArray(value)) throw new Error(`${path}: ${brief(`${field} is ${JSON.stringify(value)}; expected numbers by module`)}`);
  const rules = Object.entries(value).map(([key, number]): [RegExp, number] => {
    if (typeof number !== 'number' || !(number > 0) || (field === 'rank_pattern' && !Number.isSafeInteger(number))) throw new Error(`${path}: ${brief(`${field} gives ${key} ${JSON.stringify(number)}; expected a ${field === 'rank_pattern' ? 'whole ' : ''}number above 0`)}`);
    try {
      return [new RegExp(`^(.*\\.)?(${key})$`), number];
    } catch (error) {
      throw new Error(`${path}: ${brief(`${field} names modules by ${JSON.stringify(key)}, which is no regular expression here (${(error as Error).message})`)}`, { cause: error });
    }
  });
  return (module) => rules.find(([rule]) => rule.test(module))?.[1];
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

const A_MATRIX = /^base_model\.model\.(.+)\.lora_A\.weight$/;
const LORA_TENSOR = /\.lora_(A|B|magnitude_vector)(\.weight)?$/;

/** Updates by module, and tensors that are whole. */
async function readTensors(
  file: Safetensors, path: string, isDora: boolean, settings: (module: string) => Pick<ModuleUpdate, 'r' | 'scale'>,
): Promise<Pick<ReadAdapter, 'tensors' | 'saved'>> {
  const incomplete = (name: string, partner: string) => new Error(`${path}: tensor ${name} has no partner ${partner}; the adapter is incomplete, save it again`);
  const found = (name: string, partner: string, shape: (number | null)[], r: number): number[] => {
    const info = file.tensors.get(partner);
    if (!info) throw incomplete(name, partner);
    if (info.shape.length !== shape.length || shape.some((n, i) => n !== null && n !== info.shape[i])) {
      throw new Error(`${path}: tensor ${partner} has shape [${info.shape.join(', ')}], not fitting r = ${r} of ${CONFIG}; the files are of different adapters`);
    }
    return info.shape;
  };
  const tensors: ReadAdapter['tensors'] = new Map();
  const saved: ReadAdapter['saved'] = new Map();
  const used = new Set<string>();
  for (const name of file.tensors.keys()) {
    const module = A_MATRIX.exec(name)?.[1];
    if (module === undefined) continue;
    const { r, scale } = settings(module);
    const second = `${PREFIX}${module}.lora_B.weight`;
    found(name, name, [r, null], r);
    const [O] = found(name, second, [null, r], r);
    const magnitude = isDora ? [`${PREFIX}${module}.lora_magnitude_vector`, `${PREFIX}${module}.lora_magnitude_vector.weight`].find((each, i) => i === 1 || file.tensors.has(each))! : null;
    if (magnitude) found(name, magnitude, [O!], r);
    for (const each of [name, second, ...(magnitude ? [magnitude] : [])]) used.add(each);
    tensors.set(module, { a: await file.read(name), b: await file.read(second), r, scale, magnitude: magnitude === null ? null : await file.read(magnitude) });
  }
  for (const { name, shape } of file.tensors.values()) {
    if (used.has(name)) continue;
    if (name.endsWith('.lora_B.weight')) throw incomplete(name, name.replace(/B\.weight$/, 'A.weight'));
    if (!name.startsWith(PREFIX) || LORA_TENSOR.test(name) || name.includes('.lora_')) {
      throw new Error(`${path}: tensor ${name} is neither a LoRA matrix of a linear layer nor a tensor of the base saved whole; merge the adapter with PEFT`);
    }
    saved.set(name.slice(PREFIX.length), { shape, values: await file.read(name) });
  }
  if (tensors.size === 0) throw new Error(`${path}: it holds no LoRA matrices; save the adapter again`);
  return { tensors, saved };
}

type WrittenModule = {
  name: string; inFeatures: number; outFeatures: number;
  /** (r, inFeatures), (outFeatures, r) and of DoRA (outFeatures) */
  a: () => Promise<Float32Array>; b: () => Promise<Float32Array>; magnitude?: (() => Promise<Float32Array>) | null;
  /** Where they are not those of the whole adapter: `scale` is loraAlpha / r. */
  r?: number; scale?: number;
};

/** Writes the folder whole or not at all. Modules are named as in the base model. */
export async function writeAdapter(
  out: string,
  adapter: {
    lora: Pick<Lora, 'r' | 'loraAlpha' | 'loraDropout' | 'targetModules'>;
    /** How the base was kept; 'stored' by default. */
    baseWeights?: BaseWeights;
    baseModel: string;
    modules: WrittenModule[];
    /** Tensors of the base it brings whole. */
    saved?: ReadAdapter['saved'];
    /** `values` (labels, C) */
    score: { head: ScoreHead; values: Float32Array } | null;
  },
): Promise<WrittenFile[]> {
  const { lora, baseWeights = 'stored', baseModel, modules, saved, score } = adapter;
  const tensors = modules.flatMap(({ name, a, b, magnitude, inFeatures, outFeatures, r = lora.r }): TensorSource[] => [
    { name: `${PREFIX}${name}.lora_A.weight`, shape: [r, inFeatures], dtype: 'F32', read: a },
    { name: `${PREFIX}${name}.lora_B.weight`, shape: [outFeatures, r], dtype: 'F32', read: b },
    ...(magnitude ? [{ name: `${PREFIX}${name}.lora_magnitude_vector`, shape: [outFeatures], dtype: 'F32' as const, read: magnitude }] : []),
  ]);
  for (const [name, { shape, values }] of saved ?? []) tensors.push({ name: PREFIX + name, shape, dtype: 'F32', read: async () => values });
  const alphaOf = ({ r = lora.r, scale = lora.loraAlpha / lora.r }: WrittenModule) => scale * r;
  const wholeModules = [...new Set([...(saved?.keys() ?? [])].map((name) => name.split('.').at(-2)!))];
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
    modules_to_save: score || wholeModules.length > 0 ? [...wholeModules, ...(score ? ['score'] : [])] : null,
    peft_type: 'LORA',
    r: lora.r,
    rank_pattern: Object.fromEntries(modules.filter(({ r = lora.r }) => r !== lora.r).map(({ name, r }) => [name, r])),
    alpha_pattern: Object.fromEntries(modules.filter((module) => Math.abs(alphaOf(module) / lora.loraAlpha - 1) > 1e-9).map((module) => [module.name, alphaOf(module)])),
    target_modules: targetNames(lora.targetModules, modules),
    task_type: score ? 'SEQ_CLS' : 'CAUSAL_LM',
    use_dora: modules.some(({ magnitude }) => magnitude),
    use_rslora: false,
  };
  return writeFolderBeside(out, CONFIG, async (folder) => [
    { name: WEIGHTS, ...(await writeSafetensors(join(folder, WEIGHTS), tensors)) },
    { name: CONFIG, ...(await writeJsonFile(join(folder, CONFIG), config)) },
    ...(await writeBaseWeights(folder, baseWeights)),
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
