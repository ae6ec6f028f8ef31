/**
 * Writes a model as one GGUF file: metadata, the tokenizer, then the tensors, all families of gguf-families.ts. Names, row order and types are
 * as llama.cpp's converter and quantiser give them. Reading is gguf-reader.ts, adapters alone are gguf-lora.ts, bytes gguf-encode.ts.
 */
import { type ModelConfig, parseModelConfig } from '../model/config.ts';
import { isTransposed, transposed } from '../model/parameters.ts';
import { fromBf16, fromF16 } from './float.ts';
import { ggufConfig } from './gguf-config.ts';
import { type PlannedTensor, writeGgufFile } from './gguf-encode.ts';
import { isSharedGate } from './gguf-experts.ts';
import { arrange, checkRuns, familyOf, type GgufFamily, ggufTensors, isShiftedNorm, type NamedTensor } from './gguf-families.ts';
import { FILE_TYPE, type GgufType } from './gguf-layout.ts';
import { type MixtureModel, tensorType } from './gguf-mixture.ts';
import { aboutEntries } from './gguf-about.ts';
import type { GgufAbout } from './gguf-name.ts';
import { ggufTokenizer, type GgufValue } from './gguf-tokenizer.ts';
import type { WriteFile } from './pieces.ts';
import type { TensorSource } from './safetensors.ts';

/** `tensors` carry Hugging Face names; `config` is the model's config.json. Returns the file's size and hash. */
export async function writeGguf(
  path: string,
  model: { config: Record<string, unknown>; tokenizerFolder: string; about: GgufAbout; type: GgufType; tensors: TensorSource[] },
  writeFile?: WriteFile,
): Promise<{ bytes: number; sha256: string }> {
  const fail = (what: string): never => {
    throw new Error(`cannot write ${path}: ${what}`);
  };
  const config = parseModelConfig(model.config, path);
  const family = familyOf(config, fail);
  checkRuns(config, family, fail);
  const { metadata, factors } = ggufConfig(config, family, fail);
  const tensors = [
    ...plan(config, family, model, path),
    ...factors.map(([name, values]): PlannedTensor => ({ name, shape: [values.length], type: 'f32', parts: [() => Promise.resolve(values)] })),
  ];
  const entries: [string, GgufValue][] = [
    ['general.architecture', { string: family.architecture }],
    ['general.type', { string: 'model' }],
    ...aboutEntries(model.about),
    ['general.file_type', { u32: FILE_TYPE[model.type] }],
    ['general.quantization_version', { u32: 2 }],
    ...metadata,
    ...(await ggufTokenizer(model.tokenizerFolder, model.config, config.vocabSize)),
  ];
  return writeGgufFile(path, entries, tensors, writeFile);
}

/** Every tensor under its GGUF name and type, layer by layer; nothing is read yet. */
function plan(config: ModelConfig, family: GgufFamily, model: { type: GgufType; tensors: TensorSource[] }, path: string): PlannedTensor[] {
  const sources = new Map(model.tensors.map((tensor) => [tensor.name, tensor]));
  const [embed, head] = [`${config.names.embed}.weight`, `${config.names.head}.weight`];
  const take = (name: string): TensorSource => {
    // old GPT-2 folders leave `transformer.` out; a tied head is stored once, under either name
    const bare = config.names.positions === null ? name : name.slice(name.indexOf('.') + 1);
    const found = [name, bare, ...(name === embed && config.tieWordEmbeddings ? [head] : [])].find((known) => sources.has(known));
    if (found === undefined) throw new Error(`cannot write ${path}: tensor ${name} is missing; the model does not fit its config.json`);
    const source = sources.get(found)!;
    sources.delete(found);
    return source;
  };
  const named = ggufTensors(config);
  const isHeadWritten = !config.tieWordEmbeddings || family.head === 'always';
  const mixture: MixtureModel = {
    architecture: family.architecture, layers: config.numHiddenLayers, group: config.numAttentionHeads / config.numKeyValueHeads, tied: !isHeadWritten,
    experts: config.mixture?.numExperts ?? 0,
  };
  const planned = [...Map.groupBy(named, ({ gguf }) => gguf)].map(([name, tensors]): PlannedTensor => {
    const [{ shape: own, expert, layer }] = tensors as [NamedTensor];
    const shape = expert !== null ? [tensors.length, ...own] : isSharedGate(name) ? own.slice(1) : own;
    return { name, shape, type: tensorType(model.type, { name, shape, layer }, mixture), parts: tensors.map((tensor) => reading(config, tensor, take(tensor.huggingFace), path)) };
  });
  if (config.tieWordEmbeddings) {
    sources.delete(head);
    const embedding = planned.find(({ name }) => name === 'token_embd.weight')!;
    if (isHeadWritten) planned.push({ ...embedding, name: 'output.weight', type: tensorType(model.type, { ...embedding, name: 'output.weight', layer: null }, mixture) });
  }
  for (const name of sources.keys()) throw new Error(`cannot write ${path}: tensor ${name} has no place in a ${config.modelType} GGUF file; export safetensors instead`);
  return planned;
}

/** Reads a tensor's values in llama.cpp's order. */
function reading(config: ModelConfig, { huggingFace, gguf, shape }: NamedTensor, source: TensorSource, path: string): () => Promise<Float32Array> {
  const flipped = isTransposed(config, huggingFace, shape);
  const stored = flipped ? [...shape].reverse() : shape;
  if (source.shape.length !== stored.length || source.shape.some((n, i) => n !== stored[i])) {
    throw new Error(`cannot write ${path}: tensor ${huggingFace} has shape [${source.shape.join(', ')}], config.json makes it [${stored.join(', ')}]; the two do not belong together`);
  }
  const module = huggingFace.slice(0, huggingFace.lastIndexOf('.'));
  return async () => {
    const values = await readFloats(source, path);
    const upright = flipped ? transposed(values, shape[1]!, shape[0]!) : values;
    return isShiftedNorm(config, gguf) ? upright.map((x) => x + 1) : arrange(config, module, upright, shape);
  };
}

async function readFloats(source: TensorSource, path: string): Promise<Float32Array> {
  const values = await source.read();
  if (values instanceof Float32Array) return values;
  if (values instanceof Uint16Array && source.dtype === 'BF16') return fromBf16(values);
  if (values instanceof Uint16Array && source.dtype === 'F16') return fromF16(values);
  throw new Error(`cannot write ${path}: tensor ${source.name} has dtype ${source.dtype}, which is not a weight's`);
}
