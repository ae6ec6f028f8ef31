/**
 * The jobs of the model inspector: `inspect` (shapes and what they take, off config and headers), `vocabulary`, `weigh` (the numbers in every
 * tensor) and `diff` (two models, tensor by tensor). One tensor is in memory at a time, of a comparison two. What is computed is inspection/'s.
 */
import { join } from 'node:path';
import type { DiffJob, InspectJob, VocabularyJob, WeighJob } from '../../shared/job.ts';
import { type InspectedAttention, type InspectedRope, type InspectedTensor, type Inspection, PARTS, PRECISIONS, type TensorChange, type TensorNumbers, type TrainingMemory, type Vocabulary, type WeightChanges } from '../../shared/inspection.ts';
import { activationBytes, activeParameters, countParameters, type Shapes } from '../cost.ts';
import type { Device } from '../device/device.ts';
import { openModelFolder } from '../formats/model-folder.ts';
import { SCORE } from '../formats/peft.ts';
import { openSafetensors } from '../formats/safetensors.ts';
import { storedBytes } from '../formats/stored-bytes.ts';
import { cacheSizes, contextLengths, weightBytes } from '../inspection/sizes.ts';
import { changeOf, numbersOf } from '../inspection/statistics.ts';
import { type OpenedTensors, openTensors } from '../inspection/tensors.ts';
import { vocabularyOf } from '../inspection/vocabulary.ts';
import { type ModelConfig, parseModelConfig, type Rope } from '../model/config.ts';
import { ALL_LINEAR } from '../model/lora.ts';
import { type Outlined, placeOf } from '../model/parts.ts';
import { openTokenizer } from '../tokenizer/tokenizer.ts';

/** Of the row that training is told for, and of its adapter. */
const TRAINED_TOKENS = 1024;
const LORA_RANK = 16;

export async function inspectModel(job: InspectJob): Promise<Inspection> {
  const opened = await openTensors(job.model);
  await opened.close();
  const { config, outlined, adapter } = opened;
  const stored = outlined.map((tensor): InspectedTensor => {
    const dtype = opened.dtypeOf(tensor);
    return { ...tensor, dtype, bytes: storedBytes(dtype, sizeOf(tensor)) };
  });
  const tensors = [...stored, ...(job.model.adapter === undefined ? [] : await adapterTensors(config, job.model.adapter))];
  return {
    architecture: config.architecture, family: config.modelType, hiddenSize: config.hiddenSize, intermediateSize: config.intermediateSize,
    vocabularySize: config.vocabSize, contextLength: config.maxPositionEmbeddings, activation: config.hiddenAct, gated: config.gated, norm: config.norm,
    tied: config.tieWordEmbeddings && config.numLabels === null, labels: adapter?.score?.head.labels.length ?? config.numLabels,
    attention: attentionOf(config),
    experts: config.mixture && { count: config.mixture.numExperts, perToken: config.mixture.numExpertsPerTok, activeParameters: activeParameters(config)! },
    tensors,
    adapter: adapter && { rank: adapter.r, alpha: adapter.loraAlpha, modules: adapter.targetModules },
    parts: PARTS.flatMap((part) => {
      const of = tensors.filter((tensor) => tensor.part === part);
      return of.length === 0 ? [] : [{ part, tensors: of.length, parameters: of.reduce((sum, tensor) => sum + sizeOf(tensor), 0), bytes: of.reduce((sum, { bytes }) => sum + bytes, 0) }];
    }),
    memory: PRECISIONS.map((precision) => ({ precision, bytes: weightBytes(config, outlined, precision) })),
    training: trainingOf(config, new Map(stored.map(({ name, dtype }) => [name, dtype]))),
    cache: contextLengths(config.maxPositionEmbeddings).map((tokens) => cacheSizes(config, tokens)),
  };
}

export async function listVocabulary(job: VocabularyJob): Promise<Vocabulary> {
  const folder = await openModelFolder(job.model.folder, { weights: false });
  await folder.close();
  const { vocabSize } = parseModelConfig(folder.config, join(job.model.folder, 'config.json'));
  const { json, tokenizer } = await openTokenizer(job.model.folder);
  return vocabularyOf(json, tokenizer, vocabSize);
}

/** Of the base's tensors as they are stored, then of the adapter's. */
export async function weighModel(job: WeighJob, count: (done: number, total: number) => void): Promise<TensorNumbers[]> {
  const opened = await openTensors(job.model);
  const adapter = job.model.adapter === undefined ? null : await openSafetensors(join(job.model.adapter, 'adapter_model.safetensors')).catch(closing(opened));
  try {
    const reads = [
      ...opened.outlined.map((tensor) => ({ name: tensor.name, read: () => opened.read(tensor) })),
      ...[...(adapter?.tensors.keys() ?? [])].map((name) => ({ name, read: () => adapter!.read(name) })),
    ];
    const found: TensorNumbers[] = [];
    for (const { name, read } of reads) {
      count(found.length, reads.length);
      found.push({ name, ...numbersOf(await read()) });
    }
    count(found.length, reads.length);
    return found;
  } finally {
    await Promise.all([opened.close(), adapter?.close()]);
  }
}

/** Every tensor either has; adapters folded into their bases as they are read. `device` does the folding, and is asked for only then. */
export async function diffModels(job: DiffJob, device: () => Device, count: (done: number, total: number) => void): Promise<WeightChanges> {
  const model = await openTensors(job.model);
  const other = await openTensors(job.other).catch(closing(model));
  try {
    const merging = model.adapter || other.adapter ? device() : null;
    const read = (from: OpenedTensors, tensor: Outlined) => (merging ? from.readMerged(tensor, merging) : from.read(tensor));
    const [ours, theirs] = [model, other].map(tensorsOf) as [Map<string, Outlined>, Map<string, Outlined>];
    const all = [...ours.values(), ...[...theirs.values()].filter(({ name }) => !ours.has(name))];
    const tensors: TensorChange[] = [];
    for (const { name, part, layer, module, shape } of all) {
      count(tensors.length, all.length);
      const [a, b] = [ours.get(name), theirs.get(name)];
      const same = a && b && a.shape.join() === b.shape.join();
      const found = same ? 'both' : a && b ? 'other-shape' : a ? 'only-model' : 'only-other';
      const change = same ? changeOf(await read(model, a), await read(other, b)) : { relative: null, cosine: null, largest: null, squares: null };
      tensors.push({ name, part, layer, module, parameters: sizeOf({ shape }), found, ...change });
    }
    count(all.length, all.length);
    return { tensors };
  } finally {
    await Promise.all([model.close(), other.close()]);
  }
}

/** A score head that stands beside an adapter takes the LM head's place. */
function tensorsOf({ outlined, adapter, config }: OpenedTensors): Map<string, Outlined> {
  const tensors = new Map(outlined.map((tensor) => [tensor.name, tensor]));
  if (!adapter?.score) return tensors;
  tensors.delete(`${config.names.head}.weight`);
  const name = 'score.weight';
  return tensors.set(name, { name, shape: [adapter.score.head.labels.length, config.hiddenSize], part: 'head', layer: null, module: name });
}

async function adapterTensors(config: ModelConfig, folder: string): Promise<InspectedTensor[]> {
  const file = await openSafetensors(join(folder, 'adapter_model.safetensors'));
  await file.close();
  return [...file.tensors.values()].map(({ name, shape, dtype, begin, end }) => ({
    name, shape, dtype, bytes: end - begin, part: name === SCORE ? 'head' : 'adapter', ...placeOf(config, name.replace(/^base_model\.model\./, '')),
  }));
}

function attentionOf(config: ModelConfig): InspectedAttention {
  const { numAttentionHeads, numKeyValueHeads, headDim, layers, ropes, rotaryDims, names, qkNorm, attentionCap } = config;
  const learned = names.positions !== null;
  return {
    heads: numAttentionHeads, kvHeads: numKeyValueHeads, headDim, layers, learnedPositions: learned, qkNorm: qkNorm !== null, cap: attentionCap,
    ropes: learned ? [] : ropes.map(describeRope), rotaryDims: learned ? 0 : rotaryDims,
  };
}

function describeRope({ theta, scaling }: Rope): InspectedRope {
  return {
    theta, type: scaling.ropeType, factor: 'factor' in scaling ? scaling.factor : null,
    originalContext: 'originalMaxPositionEmbeddings' in scaling ? scaling.originalMaxPositionEmbeddings : null,
  };
}

/** `dtypes`: what tensors are stored as, which a frozen base stays. */
function trainingOf(config: ModelConfig, dtypes: Map<string, string>): Inspection['training'] {
  const tokens = Math.min(TRAINED_TOKENS, config.maxPositionEmbeddings);
  const memoryOf = (lora: Shapes['lora']): TrainingMemory => {
    const shapes: Shapes = { config, lora, headOnly: false, gradientCheckpointing: false, bf16: [...dtypes.values()].includes('BF16'), dtypeOf: (name) => dtypes.get(name) };
    const { trainable, bytes } = countParameters(shapes);
    return { weights: bytes, gradients: 4 * trainable, optimizer: 8 * trainable, activations: Math.max(0, activationBytes(shapes, { tokens, sites: tokens, accumulated: false })) };
  };
  return { tokens, loraRank: LORA_RANK, full: memoryOf(null), lora: memoryOf({ r: LORA_RANK, loraAlpha: LORA_RANK, loraDropout: 0, targetModules: [ALL_LINEAR] }) };
}

const sizeOf = ({ shape }: { shape: number[] }): number => shape.reduce((a, b) => a * b, 1);

/** For a second file that cannot be opened: the first is not left open. */
function closing(opened: OpenedTensors): (error: unknown) => Promise<never> {
  return async (error) => {
    await opened.close();
    throw error;
  };
}
