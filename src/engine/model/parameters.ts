/**
 * The tensors of a model: which there are for a config, under which Hugging Face names, of which shapes; loading them from a folder
 * and drawing new ones. Names of modules are the family's (families.ts). What is done with the tensors is transformer.ts.
 *
 * Shapes: C hidden, F intermediate, V vocab, H query heads, K key/value heads, D head dim; linears are (out, in).
 */
import type { Device, MappedBytes, Tensor } from '../device/device.ts';
import type { DoraGain } from '../ops/dora.ts';
import type { LinearWeights } from '../ops/linear.ts';
import { createRandom, deriveSeed } from '../random.ts';
import type { KeptStorage } from './base-weights.ts';
import type { ModelConfig } from './config.ts';
import type { Mixture, MixtureNames, Names } from './families.ts';
import { unfused } from './fused-experts.ts';

/** One trained or frozen tensor. grad is there from backward to the end of the step (ops/tape.ts); decay says whether weight decay applies (not to norms and biases). */
export type Parameter = { name: string; shape: number[]; tensor: Tensor; readonly trained: boolean; grad: Tensor | null; decay: boolean };

/** A norm's weight(C), and a LayerNorm's bias(C). */
export type Norm = { weight: Parameter; bias: Parameter | null };

/** The adapter on one linear: a(r,I), b(O,r); of DoRA also a magnitude(O). */
export type LoraModule = { a: Parameter; b: Parameter; r: number; scale: number; p: number; dora: (DoraGain & { magnitude: Parameter }) | null };

/** name is the module's, without `.weight`. */
export type Linear = LinearWeights & { name: string; weight: Parameter; bias: Parameter | null; lora: LoraModule | null };

/** What a family has not is null. */
export type LayerWeights = {
  inputNorm: Norm | null; // (C)
  qkv: Linear | null; // (H·D + 2·K·D, C), in place of the three
  q: Linear | null; // (H·D, C)
  k: Linear | null; // (K·D, C)
  v: Linear | null; // (K·D, C)
  qNorm: Parameter | null; // (D), or of all heads (H·D)
  kNorm: Parameter | null; // (D), or (K·D)
  o: Linear; // (C, H·D)
  afterAttentionNorm: Norm | null; // (C)
  mlpNorm: Norm | null; // (C)
  gateUp: Linear | null; // (2·F, C), in place of the two
  gate: Linear | null; // (F, C)
  up: Linear | null; // (F, C)
  down: Linear | null; // (C, F)
  mixture: MixtureWeights | null; // in place of the four
  afterMlpNorm: Norm | null; // (C)
};

/** The same three of an expert, F its own width. */
export type Expert = { gate: Linear; up: Linear; down: Linear };

export type MixtureWeights = {
  router: Linear; // (E, C); carries no adapter
  experts: Expert[];
  shared: (Expert & { scale: Linear }) | null; // scale (1, C)
};

export type Weights = {
  embedTokens: Parameter; // (V, C)
  embedPositions: Parameter | null; // (maxPositionEmbeddings, C)
  layers: LayerWeights[];
  norm: Norm; // (C)
  /** (V, C); the same parameter as embedTokens when tied; null where a score head stands in its place */
  head: Parameter | null;
  /** (labels, C), heads.ts */
  score: Parameter | null;
};

export const SCORE = 'score.weight';

/** Builds the weights by asking `make` for every parameter, in a fixed order; shapes are ours, out before in. */
export function buildWeights(config: ModelConfig, make: (name: string, shape: number[]) => Parameter): Weights {
  const { hiddenSize: C, intermediateSize: F, vocabSize: V, headDim: D, names, gated } = config;
  const HD = config.numAttentionHeads * D, KD = config.numKeyValueHeads * D;
  const linear = (name: string, outFeatures: number, inFeatures: number, bias: boolean): Linear => ({
    name, inFeatures, outFeatures, lora: null,
    weight: make(`${name}.weight`, [outFeatures, inFeatures]),
    bias: bias ? make(`${name}.bias`, [outFeatures]) : null,
  });
  const norm = (name: string): Norm => ({ weight: make(`${name}.weight`, [C]), bias: config.norm === 'layer' ? make(`${name}.bias`, [C]) : null });

  const embedTokens = make(`${names.embed}.weight`, [V, C]);
  const embedPositions = names.positions ? make(`${names.positions}.weight`, [config.maxPositionEmbeddings, C]) : null;
  const layers = Array.from({ length: config.numHiddenLayers }, (_, i): LayerWeights => {
    const at = (part: string) => `${names.layers}.${i}.${part}`;
    const maybeNorm = (part: string | null) => (part === null ? null : norm(at(part)));
    const project = (part: string, outFeatures: number) => linear(at(part), outFeatures, C, config.qkvBias);
    const expand = (part: string, outFeatures: number) => linear(at(part), outFeatures, C, config.mlpBias);
    const headNorm = (part: string, width: number) => (config.qkNorm ? make(`${at(part)}.weight`, [config.qkNorm === 'all' ? width : D]) : null);
    const fused = names.qkv !== null, fusedUp = names.gateUp !== null;
    const routed = config.mixture?.layers[i] ?? false;
    const dense = routed ? null : expand;
    const expert = (part: string, width: number, spelled: Pick<Names, 'gate' | 'up' | 'down'>): Expert => ({
      gate: linear(at(`${part}.${spelled.gate}`), width, C, false),
      up: linear(at(`${part}.${spelled.up}`), width, C, false),
      down: linear(at(`${part}.${spelled.down}`), C, width, false),
    });
    const mixture = ({ numExperts, intermediateSize, sharedIntermediateSize }: Mixture, spelled: MixtureNames): MixtureWeights => ({
      router: linear(at(spelled.router), numExperts, C, false),
      experts: Array.from({ length: numExperts }, (_, e) => expert(`${spelled.experts}.${e}`, intermediateSize, spelled)),
      shared: spelled.shared && sharedIntermediateSize > 0 ? { ...expert(spelled.shared, sharedIntermediateSize, spelled), scale: linear(at(spelled.sharedGate), 1, C, false) } : null,
    });
    return {
      inputNorm: maybeNorm(names.inputNorm),
      qkv: fused ? project(names.qkv!, HD + 2 * KD) : null,
      q: fused ? null : project(names.q, HD),
      k: fused ? null : project(names.k, KD),
      v: fused ? null : project(names.v, KD),
      qNorm: headNorm(names.qNorm, HD),
      kNorm: headNorm(names.kNorm, KD),
      o: linear(at(names.o), C, HD, config.outputBias),
      afterAttentionNorm: maybeNorm(names.afterAttentionNorm),
      mlpNorm: config.sharedNorm ? null : maybeNorm(names.mlpNorm),
      gateUp: dense && fusedUp ? dense(names.gateUp!, 2 * F) : null,
      gate: dense && gated && !fusedUp ? dense(names.gate, F) : null,
      up: dense && !fusedUp ? dense(names.up, F) : null,
      down: dense && linear(at(names.down), C, F, config.mlpBias),
      mixture: routed ? mixture(config.mixture!, names.mixture!) : null,
      afterMlpNorm: maybeNorm(names.afterMlpNorm),
    };
  });
  const trunk = { embedTokens, embedPositions, layers, norm: norm(names.norm) };
  if (config.numLabels !== null) return { ...trunk, head: null, score: make(SCORE, [config.numLabels, C]) };
  return { ...trunk, head: config.tieWordEmbeddings ? embedTokens : make(`${names.head}.weight`, [V, C]), score: null };
}

/** The linears LoRA may be put on, in order: all of the decoder, not the head, and no router (which is no Linear in transformers either). */
export function decoderLinears(weights: Weights): Linear[] {
  return weights.layers.flatMap(({ qkv, q, k, v, o, gateUp, gate, up, down, mixture }) => [
    qkv, q, k, v, o, gateUp, gate, up, down, ...(mixture ? mixtureLinears(mixture) : []),
  ]).filter((linear) => linear !== null);
}

const mixtureLinears = ({ experts, shared }: MixtureWeights): Linear[] => [
  ...experts.flatMap(({ gate, up, down }) => [gate, up, down]), ...(shared ? [shared.gate, shared.up, shared.down, shared.scale] : []),
];

/** Whether a parameter's rows are columns where it is stored: all matrices of GPT-2's layers. */
export const isTransposed = (config: ModelConfig, name: string, shape: number[]): boolean =>
  config.transposed && shape.length > 1 && name.startsWith(`${config.names.layers}.`);

/** A router's few numbers are never rounded (another expert would be chosen), nor a shared expert's gate: as llama.cpp keeps them. */
export function isRouter({ mixture, names }: ModelConfig, name: string): boolean {
  return mixture !== null && [names.mixture!.router, names.mixture!.sharedGate].some((part) => name.endsWith(`.${part}.weight`));
}

/** x(rows, columns) → (columns, rows) */
export function transposed(x: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(x.length);
  for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++) out[column * rows + row] = x[row * columns + column]!;
  return out;
}

/** What loading needs of a model folder (formats/model-folder.ts gives it). */
export type TensorFolder = {
  folder: string;
  config: Record<string, unknown>;
  tensors: Map<string, { shape: number[]; file: string; dtype?: string }>;
  read(name: string): Promise<Float32Array>;
  mapped?(name: string): MappedBytes | null;
  /** The bytes of a tensor stored in blocks, in the order of its rows; of GGUF. */
  readBlocks?(name: string): Promise<Uint8Array | null>;
};

/** Where a parameter is stored: a tied embedding may lie under either of its two names, and old GPT-2 folders leave `transformer.` out. */
export function storedName(config: ModelConfig, folder: TensorFolder, name: string): string {
  const [embed, head] = [`${config.names.embed}.weight`, `${config.names.head}.weight`];
  if (name === embed && config.tieWordEmbeddings && !folder.tensors.has(embed) && folder.tensors.has(head)) return head;
  const bare = name.slice(name.indexOf('.') + 1);
  return config.names.positions !== null && !folder.tensors.has(name) && folder.tensors.has(bare) ? bare : name;
}

/** A parameter's values from the folder, out before in. */
export async function readStored(config: ModelConfig, folder: TensorFolder, name: string, shape: number[]): Promise<Float32Array> {
  const values = await folder.read(storedName(config, folder, name));
  return isTransposed(config, name, shape) ? transposed(values, shape[1]!, shape[0]!) : values;
}

/** A frozen parameter where the folder stores it as the device would keep it: it stays there, uncopied. Null where it has to be read. */
export function adoptStored(device: Device, config: ModelConfig, folder: TensorFolder, name: string, shape: number[], storage: KeptStorage): Tensor | null {
  if (!device.adopt || !folder.mapped || isTransposed(config, name, shape)) return null;
  const stored = storedName(config, folder, name);
  const bytes = folder.mapped(stored);
  if (bytes?.storage !== storage) return null;
  try {
    return device.adopt(bytes, shape.reduce((a, b) => a * b, 1));
  } catch (error) {
    throw new Error(`${folder.tensors.get(stored)!.file}: tensor ${stored}: ${(error as Error).message}`, { cause: error });
  }
}

/** Throws unless the folder holds every tensor the config asks for, in its shape, and none the model would leave out of account. */
export function checkTensors(config: ModelConfig, opened: TensorFolder): void {
  const folder = unfused(config, opened);
  const expected = new Set<string>();
  const missing: string[] = [];
  buildWeights(config, (name, shape) => {
    const stored = storedName(config, folder, name);
    const info = folder.tensors.get(stored);
    expected.add(stored);
    if (!info) missing.push(name);
    else {
      const want = isTransposed(config, name, shape) ? [...shape].reverse() : shape;
      if (info.shape.length !== want.length || info.shape.some((n, i) => n !== want[i])) {
        throw new Error(`${info.file}: tensor ${stored} has shape [${info.shape.join(', ')}], but config.json makes it [${want.join(', ')}]; the two files do not belong together`);
      }
    }
    return undefined as never; // only names and shapes are asked for here
  });
  if (missing.length > 0) {
    const untied = missing.length === 1 && missing[0] === `${config.names.head}.weight` ? '; if the head is the embedding, config.json must say tie_word_embeddings: true' : '; the download may be incomplete';
    throw new Error(`${folder.folder}: ${count(missing.length, 'tensor is', 'tensors are')} missing: ${firstThree(missing)}${untied}`);
  }
  const unknown = [...folder.tensors.keys()].filter((name) => !expected.has(name) && !(name === `${config.names.head}.weight` && config.tieWordEmbeddings));
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
  if (/(norm|\.ln_\w)\.weight$/.test(name)) return new Float32Array(length).fill(1 - config.normOffset);
  const random = createRandom(deriveSeed(seed, name));
  const values = new Float32Array(length);
  for (let i = 0; i < length; i++) values[i] = random.normal() * config.initializerRange;
  return values;
}

/** Allocates a parameter, or takes one that is there; its gradient comes in backward. */
export function createParameter(device: Device, name: string, shape: number[], storage: KeptStorage, trained: boolean, tensor: Tensor | null = null): Parameter {
  const length = shape.reduce((a, b) => a * b, 1);
  return { name, shape, trained, grad: null, decay: shape.length > 1, tensor: tensor ?? device.alloc(length, storage) };
}

/** Stores a frozen matrix in the very blocks its file has, where it is kept in those; says whether it was. */
export async function writeStoredBlocks(device: Device, config: ModelConfig, folder: TensorFolder, { name, tensor }: Parameter): Promise<boolean> {
  const stored = storedName(config, folder, name);
  const same = { Q8_0: 'int8', Q4_0: 'q4_0' }[folder.tensors.get(stored)?.dtype ?? ''];
  if (!folder.readBlocks || tensor.storage !== same) return false;
  const bytes = await folder.readBlocks(stored);
  if (bytes) device.write(tensor, bytes);
  return bytes !== null;
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
  const values = (await device.read(parameter.tensor)) as Float32Array | Uint16Array;
  if (values instanceof Float32Array) return values;
  return new Float32Array(Uint32Array.from(values, (bits) => bits << 16).buffer); // bf16 is the upper half of an f32
}
