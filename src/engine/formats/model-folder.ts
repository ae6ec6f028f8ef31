/**
 * A model in Hugging Face's folder layout: config.json and safetensors weights, whole or in shards named by an index.
 * Tensors keep the names and types they are stored under (a tied head too); what they mean is the model's affair.
 * A GGUF file opens as a folder does, its tokenizer in it; of a folder in FP8 only the types of its tensors tell that it is one.
 * Pickled weights are refused: unpickling a file runs whatever code is in it.
 */
import { copyFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { MappedBytes } from '../device/device.ts';
import { withoutFp8 } from './fp8.ts';
import { openGguf, readGgufMetadata } from './gguf-reader.ts';
import { readVocabulary } from './gguf-vocabulary.ts';
import { readJsonFile, writeJsonFile } from './json.ts';
import type { WriteFile } from './pieces.ts';
import { openSafetensors, tensorBytes, writeSafetensors, type Safetensors, type TensorInfo, type TensorSource } from './safetensors.ts';
import { hashFile, isFile, writeFolderBeside, type WrittenFile } from './write-beside.ts';

export type ModelFolder = {
  folder: string;
  config: Record<string, unknown>;
  generationConfig: Record<string, unknown> | null;
  /** Without the buffers that old files have. */
  tensors: Map<string, Pick<TensorInfo, 'name' | 'dtype' | 'shape' | 'file'>>;
  /** F32, F16, BF16 or F8, its scales folded in (of a GGUF file any type that is read), as float32. */
  read(name: string): Promise<Float32Array>;
  /** Where an F32 or BF16 tensor lies in memory as it is stored; null where it has to be read. */
  mapped(name: string): MappedBytes | null;
  close(): Promise<void>;
};

const WEIGHTS = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';
/** Buffers of old files, of any type, which say nothing the config does not: masks, and the angles of rotary positions. */
const BUFFER = /\.(rotary_emb\.inv_freq|(attn|attention)\.(masked_)?bias)$/;
const PICKLE = /\.(bin|pt|pth|pkl|ckpt)$/;
/** What belongs to the text side and is carried along unchanged. */
const TEXT_FILES = /^(tokenizer.*|special_tokens_map\.json|added_tokens\.json|vocab\.json|merges\.txt|chat_template\..*)$/;

/** A model that is one GGUF file goes by the file's path wherever others go by their folder's. */
export const isGgufPath = (folder: string): boolean => folder.endsWith('.gguf');

/** `weights: false` opens a folder that has only its config yet: the start of a model trained from scratch. */
export async function openModelFolder(folder: string, { weights = true } = {}): Promise<ModelFolder> {
  if (isGgufPath(folder)) return openGgufModel(folder);
  const kind = await stat(folder).catch(() => null);
  if (!kind) throw new Error(`there is no folder ${folder}; name a folder with config.json and ${WEIGHTS}`);
  if (!kind.isDirectory()) throw new Error(`${folder} is a file; name the folder it is in`);
  const names = await readdir(folder);
  if (!names.includes('config.json') && names.includes('adapter_config.json')) {
    throw new Error(`${folder} is a PEFT adapter, not a model; name its base model as the model and this folder as the adapter`);
  }
  const config = await readJsonFile(join(folder, 'config.json'));
  const generationConfig = await readJsonFile(join(folder, 'generation_config.json'), true);

  const shards: Safetensors[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(shards.map((shard) => shard.close()));
  };
  const owner = new Map<string, Safetensors>();
  try {
    if (!weights) {
      // nothing to open: new weights will be drawn
    } else if (names.includes(WEIGHTS)) {
      const whole = await openSafetensors(join(folder, WEIGHTS));
      shards.push(whole);
      for (const name of whole.tensors.keys()) owner.set(name, whole);
    } else if (names.includes(INDEX)) {
      await openShards(folder, shards, owner);
    } else {
      const pickle = names.find((name) => PICKLE.test(name));
      throw new Error(
        pickle
          ? `${join(folder, pickle)} is a pickle, and loading one can run any code inside it: refused; convert the weights to ${WEIGHTS}`
          : `${folder} has no weights: expected ${WEIGHTS} or ${INDEX}; download them into the folder`,
      );
    }
  } catch (error) {
    await close();
    throw error;
  }
  const find = (name: string): Safetensors => {
    const shard = owner.get(name);
    if (!shard)
      throw new Error(
        `${folder}: the weights have no tensor ${name}; the model is incomplete or of another family than its config.json says`,
      );
    return shard;
  };
  const opened: ModelFolder = {
    folder,
    config,
    generationConfig,
    tensors: new Map([...owner].filter(([name]) => !BUFFER.test(name)).map(([name, shard]) => [name, shard.tensors.get(name)!])),
    read: async (name) => find(name).read(name),
    mapped: (name) => find(name).mapped(name),
    close,
  };
  try {
    return withoutFp8(opened);
  } catch (error) {
    await close();
    throw error;
  }
}

async function openGgufModel(path: string): Promise<ModelFolder> {
  const file = await openGguf(path);
  try {
    const { eos } = readVocabulary(file.metadata, path);
    return { ...file, generationConfig: eos.length > 0 ? { eos_token_id: eos } : null };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function openShards(folder: string, shards: Safetensors[], owner: Map<string, Safetensors>): Promise<void> {
  const path = join(folder, INDEX);
  const { weight_map: map } = await readJsonFile(path);
  if (typeof map !== 'object' || map === null || Array.isArray(map))
    throw new Error(`${path}: weight_map is missing; download the file again`);
  const entries = Object.entries(map as Record<string, unknown>);
  const byFile = new Map<string, Set<string>>();
  for (const [name, file] of entries) {
    if (typeof file !== 'string' || !/^[^/\\]+\.safetensors$/.test(file)) {
      throw new Error(`${path}: tensor ${name} is said to be in ${JSON.stringify(file)}; expected a .safetensors file of this folder`);
    }
    const known = byFile.get(file);
    if (known) known.add(name);
    else byFile.set(file, new Set([name]));
  }
  for (const [file, names] of byFile) {
    if (!(await isFile(join(folder, file))))
      throw new Error(`${join(folder, file)} is missing, though ${INDEX} names it; download that shard`);
    const shard = await openSafetensors(join(folder, file));
    shards.push(shard);
    for (const name of names) {
      if (!shard.tensors.has(name))
        throw new Error(`${path}: tensor ${name} should be in ${file} but is not; download the index and the shards again`);
      owner.set(name, shard);
    }
    for (const name of shard.tensors.keys()) {
      if (!names.has(name))
        throw new Error(`${join(folder, file)}: tensor ${name} is not in ${INDEX}; download the index and the shards again`);
    }
  }
}

/** As Hugging Face cuts: no file of a model is larger, but for one tensor alone. */
const SHARD_BYTES = 5e9;

type WrittenModel = { config: Record<string, unknown>; generationConfig: Record<string, unknown> | null; tensors: TensorSource[]; copyFrom?: string };

/** The folder appears whole or not at all. */
export function writeModelFolder(out: string, model: WrittenModel, shardBytes?: number): Promise<WrittenFile[]> {
  return writeFolderBeside(out, 'config.json', (folder) => fillModelFolder(folder, model, { shardBytes }));
}

/**
 * Writes config.json, generation_config.json, model.safetensors (a large model in shards, with their index) and copies of `copyFrom`'s tokenizer and chat template files.
 * `config` is written as given: its dtype is the caller's to set.
 */
export async function fillModelFolder(folder: string, model: WrittenModel, { shardBytes = SHARD_BYTES, writeFile }: { shardBytes?: number; writeFile?: WriteFile } = {}): Promise<WrittenFile[]> {
  const files: WrittenFile[] = [];
  const texts: [string, Record<string, unknown>][] = [['config.json', model.config]];
  const shards = cutShards(model.tensors, shardBytes);
  const nameOf = (shard: number) => (shards.length === 1 ? WEIGHTS : `model-${fiveDigits(shard + 1)}-of-${fiveDigits(shards.length)}.safetensors`);
  for (const [i, tensors] of shards.entries()) files.push({ name: nameOf(i), ...(await writeSafetensors(join(folder, nameOf(i)), tensors, undefined, writeFile)) });
  if (shards.length > 1) {
    const map = Object.fromEntries(shards.flatMap((tensors, i) => tensors.map(({ name }) => [name, nameOf(i)])));
    texts.push([INDEX, { metadata: { total_size: model.tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0) }, weight_map: map }]);
  }
  if (model.generationConfig) texts.push(['generation_config.json', model.generationConfig]);
  for (const [name, value] of texts) files.push({ name, ...(await writeJsonFile(join(folder, name), value)) });
  if (model.copyFrom !== undefined && isGgufPath(model.copyFrom)) {
    const { json, config, chatTemplate, namedTemplates } = readVocabulary(await readGgufMetadata(model.copyFrom), model.copyFrom);
    const named = Object.entries({ ...(chatTemplate === null ? {} : { default: chatTemplate }), ...namedTemplates }).map(([name, template]) => ({ name, template }));
    const templates = Object.keys(namedTemplates).length > 0 ? { chat_template: named } : chatTemplate === null ? {} : { chat_template: chatTemplate };
    const made: [string, Record<string, unknown>][] = [['tokenizer.json', json], ['tokenizer_config.json', { ...config, ...templates }]];
    for (const [name, value] of made) files.push({ name, ...(await writeJsonFile(join(folder, name), value)) });
  } else if (model.copyFrom !== undefined) {
    for (const name of (await readdir(model.copyFrom)).filter((n) => TEXT_FILES.test(n)).sort()) {
      if (!(await isFile(join(model.copyFrom, name)))) continue;
      await copyFile(join(model.copyFrom, name), join(folder, name));
      files.push({ name, ...(await hashFile(join(folder, name))) });
    }
  }
  return files;
}

const fiveDigits = (n: number) => String(n).padStart(5, '0');

/** In their order, as many to a shard as fit. */
function cutShards(tensors: TensorSource[], most: number): TensorSource[][] {
  const shards: TensorSource[][] = [[]];
  let bytes = 0;
  for (const tensor of tensors) {
    const size = tensorBytes(tensor);
    if (bytes > 0 && bytes + size > most) {
      shards.push([]);
      bytes = 0;
    }
    shards.at(-1)!.push(tensor);
    bytes += size;
  }
  return shards;
}
