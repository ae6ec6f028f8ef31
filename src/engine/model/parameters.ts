/**
 * The tensors of a model: which there are for a config, under which Hugging Face names, of which shapes; loading them from a folder
 * and drawing new ones. The only file that knows tensor names. What is done with them is transformer.ts.
 *
 * Shapes: C hidden, F intermediate, V vocab, H query heads, K key/value heads, D head dim; linears are (out, in).
 */
import type { Device, Tensor } from '../device/device.ts';
import type { LinearWeights } from '../ops/linear.ts';
import { createRandom, deriveSeed } from '../random.ts';
import type { ModelConfig } from './config.ts';

/** One trained or frozen tensor. grad is there from backward to the end of the step (ops/tape.ts); decay says whether weight decay applies (not to norms and biases). */
export type Parameter = { name: string; shape: number[]; tensor: Tensor; readonly trained: boolean; grad: Tensor | null; decay: boolean };

/** The adapter on one linear: a(r,I), b(O,r). */
export type LoraModule = { a: Parameter; b: Parameter; r: number; scale: number; p: number };

/** name is the module's, without `.weight`. */
export type Linear = LinearWeights & { name: string; weight: Parameter; bias: Parameter | null; lora: LoraModule | null };

export type LayerWeights = {
  inputNorm: Parameter; // (C)
  q: Linear; // (H·D, C)
  k: Linear; // (K·D, C)
  v: Linear; // (K·D, C)
  qNorm: Parameter | null; // (D)
  kNorm: Parameter | null; // (D)
  o: Linear; // (C, H·D)
  postAttentionNorm: Parameter; // (C)
  gate: Linear; // (F, C)
  up: Linear; // (F, C)
  down: Linear; // (C, F)
};

export type Weights = {
  embedTokens: Parameter; // (V, C)
  layers: LayerWeights[];
  norm: Parameter; // (C)
  /** (V, C); the same parameter as embedTokens when tied; null where a score head stands in its place */
  head: Parameter | null;
  /** (labels, C), heads.ts */
  score: Parameter | null;
};

const EMBED = 'model.embed_tokens.weight';
const HEAD = 'lm_head.weight';
export const SCORE = 'score.weight';

/** Builds the weights by asking `make` for every parameter, in a fixed order. */
export function buildWeights(config: ModelConfig, make: (name: string, shape: number[]) => Parameter): Weights {
  const { hiddenSize: C, intermediateSize: F, vocabSize: V, headDim: D } = config;
  const HD = config.numAttentionHeads * D, KD = config.numKeyValueHeads * D;
  const linear = (name: string, outFeatures: number, inFeatures: number, bias: boolean): Linear => ({
    name, inFeatures, outFeatures, lora: null,
    weight: make(`${name}.weight`, [outFeatures, inFeatures]),
    bias: bias ? make(`${name}.bias`, [outFeatures]) : null,
  });

  const embedTokens = make(EMBED, [V, C]);
  const layers = Array.from({ length: config.numHiddenLayers }, (_, i): LayerWeights => {
    const at = `model.layers.${i}`;
    return {
      inputNorm: make(`${at}.input_layernorm.weight`, [C]),
      q: linear(`${at}.self_attn.q_proj`, HD, C, config.qkvBias),
      k: linear(`${at}.self_attn.k_proj`, KD, C, config.qkvBias),
      v: linear(`${at}.self_attn.v_proj`, KD, C, config.qkvBias),
      qNorm: config.qkNorm ? make(`${at}.self_attn.q_norm.weight`, [D]) : null,
      kNorm: config.qkNorm ? make(`${at}.self_attn.k_norm.weight`, [D]) : null,
      o: linear(`${at}.self_attn.o_proj`, C, HD, config.outputBias),
      postAttentionNorm: make(`${at}.post_attention_layernorm.weight`, [C]),
      gate: linear(`${at}.mlp.gate_proj`, F, C, config.mlpBias),
      up: linear(`${at}.mlp.up_proj`, F, C, config.mlpBias),
      down: linear(`${at}.mlp.down_proj`, C, F, config.mlpBias),
    };
  });
  const norm = make('model.norm.weight', [C]);
  const trunk = { embedTokens, layers, norm };
  if (config.numLabels !== null) return { ...trunk, head: null, score: make(SCORE, [config.numLabels, C]) };
  return { ...trunk, head: config.tieWordEmbeddings ? embedTokens : make(HEAD, [V, C]), score: null };
}

/** The linears LoRA may be put on, in order: all of the decoder, not the head. */
export function decoderLinears(weights: Weights): Linear[] {
  return weights.layers.flatMap(({ q, k, v, o, gate, up, down }) => [q, k, v, o, gate, up, down]);
}

/** What loading needs of a model folder (formats/model-folder.ts gives it). */
export type TensorFolder = {
  folder: string;
  config: Record<string, unknown>;
  tensors: Map<string, { shape: number[]; file: string }>;
  read(name: string): Promise<Float32Array>;
};

/** Where a parameter is stored: a tied embedding may lie under either of its two names. */
export function storedName(config: ModelConfig, folder: TensorFolder, name: string): string {
  return name === EMBED && config.tieWordEmbeddings && !folder.tensors.has(EMBED) && folder.tensors.has(HEAD) ? HEAD : name;
}

/** Throws unless the folder holds every tensor the config asks for, in its shape, and none the model would leave out of account. */
export function checkTensors(config: ModelConfig, folder: TensorFolder): void {
  const expected = new Set<string>();
  const missing: string[] = [];
  buildWeights(config, (name, shape) => {
    const stored = storedName(config, folder, name);
    const info = folder.tensors.get(stored);
    expected.add(stored);
    if (!info) missing.push(name);
    else if (info.shape.length !== shape.length || info.shape.some((n, i) => n !== shape[i])) {
      throw new Error(`${info.file}: tensor ${stored} has shape [${info.shape.join(', ')}], but config.json makes it [${shape.join(', ')}]; the two files do not belong together`);
    }
    return undefined as never; // only names and shapes are asked for here
  });
  if (missing.length > 0) {
    const untied = missing.length === 1 && missing[0] === HEAD ? '; if the head is the embedding, config.json must say tie_word_embeddings: true' : '; the download may be incomplete';
    throw new Error(`${folder.folder}: ${count(missing.length, 'tensor is', 'tensors are')} missing: ${firstThree(missing)}${untied}`);
  }
  const unknown = [...folder.tensors.keys()].filter((name) => !expected.has(name) && !name.endsWith('rotary_emb.inv_freq') && !(name === HEAD && config.tieWordEmbeddings));
  if (unknown.length > 0) {
    throw new Error(
      `${folder.folder}: ${count(unknown.length, 'tensor has', 'tensors have')} no place in a ${config.architecture} of this config.json: ` +
      `${firstThree(unknown)}; leaving them out would change the results`,
    );
  }
}

const count = (n: number, one: string, many: string) => `${n} ${n === 1 ? one : many}`;
const firstThree = (names: string[]) => names.slice(0, 3).join(', ') + (names.length > 3 ? ` and ${names.length - 3} more` : '');

/** New values as transformers draws them: normal(0, initializer_range), norms 1, biases 0. One tensor's draw depends on seed and name alone. */
export function drawParameter(config: ModelConfig, name: string, length: number, seed: number): Float32Array {
  if (name.endsWith('.bias')) return new Float32Array(length);
  if (name.endsWith('norm.weight')) return new Float32Array(length).fill(1);
  const random = createRandom(deriveSeed(seed, name));
  const values = new Float32Array(length);
  for (let i = 0; i < length; i++) values[i] = random.normal() * config.initializerRange;
  return values;
}

/** Of matrices: see Device's Storage. */
export type WeightStorage = 'f32' | 'bf16' | 'q8_0';

/** Allocates a parameter; its gradient comes in backward. */
export function createParameter(device: Device, name: string, shape: number[], storage: WeightStorage, trained: boolean): Parameter {
  const length = shape.reduce((a, b) => a * b, 1);
  const matrix = shape.length > 1;
  const kept = matrix && !(storage === 'q8_0' && shape[1] % 32 !== 0); // rows that are no whole blocks stay f32, as llama.cpp keeps them
  return {
    name, shape, trained, grad: null, decay: matrix,
    tensor: device.alloc(length, kept ? storage : 'f32'), // norms and biases are small and their kernels take f32
  };
}

/** Stores a parameter's values as its tensor keeps them. */
export function writeParameter(device: Device, { tensor, shape }: Parameter, values: Float32Array): void {
  if (tensor.storage !== 'q8_0') return device.write(tensor, values);
  const [O, I] = shape;
  const exact = device.alloc(values.length);
  device.write(exact, values);
  device.quantize(tensor, exact, O, I);
  device.free(exact);
}

/** A parameter's values in f32, whatever it is stored in. */
export async function readParameter(device: Device, parameter: Parameter): Promise<Float32Array> {
  const values = await device.read(parameter.tensor);
  if (values instanceof Float32Array) return values;
  return new Float32Array(Uint32Array.from(values, (bits) => bits << 16).buffer); // bf16 is the upper half of an f32
}
