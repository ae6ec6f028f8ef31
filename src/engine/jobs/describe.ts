/** The `describe` job: what model and adapter folders say of themselves, off config files and headers. No tensor is read, and nothing is held open. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { FolderFacts } from '../../shared/job-results.ts';
import { activeParameters } from '../cost.ts';
import { readJsonFile } from '../formats/json.ts';
import { openGguf } from '../formats/gguf-reader.ts';
import { isGgufPath, openModelFolder } from '../formats/model-folder.ts';
import { readHead, SCORE } from '../formats/peft.ts';
import { openSafetensors, type TensorInfo } from '../formats/safetensors.ts';
import { isFile } from '../formats/write-beside.ts';
import { parseModelConfig } from '../model/config.ts';
import { readScoreHead } from '../model/heads.ts';
import { checkTensors } from '../model/parameters.ts';
import { findTemplateProblems } from '../tokenizer/template-problems.ts';

/** What training needs beside the model and nobody else does. */
const NOT_THE_MODEL = /^(optimizer\.safetensors|state\.json|manifest\.json|recipe\.json)$/;

const NOTHING: FolderFacts = {
  family: null, parameters: null, activeParameters: null, adapter: null, bytes: null, dtype: null, contextLength: null, vocabularySize: null, layers: null, hiddenSize: null,
  hasChatTemplate: false, templateProblems: [], labels: null, problem: null,
};

/** One answer a folder; a folder that cannot be used says why in its `problem`. */
export function describe(folders: string[]): Promise<FolderFacts[]> {
  return Promise.all(
    folders.map(async (folder) => {
      try {
        if (isGgufPath(folder)) return await describeGguf(folder);
        return (await isFile(join(folder, 'config.json'))) ? await describeModel(folder) : await describeAdapter(folder);
      } catch (error) {
        return { ...NOTHING, problem: (error as Error).message };
      }
    }),
  );
}

async function describeModel(folder: string): Promise<FolderFacts> {
  const files = await readdir(folder);
  const [config, bytes, hasChatTemplate, templateProblems] = await Promise.all([
    readJsonFile(join(folder, 'config.json')), folderBytes(folder), findChatTemplate(folder, files), findTemplateProblems(folder),
  ]);
  const parsed = parseModelConfig(config, join(folder, 'config.json'));
  const known: FolderFacts = {
    ...NOTHING, family: parsed.modelType, contextLength: parsed.maxPositionEmbeddings, vocabularySize: parsed.vocabSize,
    layers: parsed.numHiddenLayers, hiddenSize: parsed.hiddenSize, bytes, hasChatTemplate, templateProblems,
    labels: parsed.numLabels === null ? null : readScoreHead(config).labels,
  };
  try {
    const opened = await openModelFolder(folder);
    await opened.close();
    checkTensors(parsed, opened);
    if (!files.includes('tokenizer.json') && !files.includes('tokenizer.model')) throw new Error(`${folder}: tokenizer.json is missing; put the model's own there`);
    const tensors = [...opened.tensors.values()];
    return { ...known, parameters: countElements(tensors), activeParameters: activeParameters(parsed), dtype: mostCommonType(tensors) };
  } catch (error) {
    return { ...known, problem: (error as Error).message };
  }
}

async function describeGguf(path: string): Promise<FolderFacts> {
  const opened = await openGguf(path);
  await opened.close();
  const parsed = parseModelConfig(opened.config, path);
  checkTensors(parsed, opened);
  const tensors = [...opened.tensors.values()];
  return {
    ...NOTHING, family: parsed.modelType, contextLength: parsed.maxPositionEmbeddings, vocabularySize: parsed.vocabSize, layers: parsed.numHiddenLayers,
    hiddenSize: parsed.hiddenSize, bytes: (await stat(path)).size, hasChatTemplate: opened.metadata.has('tokenizer.chat_template'),
    templateProblems: await findTemplateProblems(path),
    parameters: countElements(tensors), activeParameters: activeParameters(parsed), dtype: mostCommonType(tensors),
  };
}

async function describeAdapter(folder: string): Promise<FolderFacts> {
  const path = join(folder, 'adapter_config.json');
  if (!(await isFile(path))) {
    const gone = !(await stat(folder).catch(() => null));
    throw new Error(gone ? `${folder}: the folder is gone; put it back, or take the model out of the library` : `${folder}: not a model: neither config.json nor adapter_config.json is in it`);
  }
  const { r, peft_type: type } = await readJsonFile(path);
  if (type !== 'LORA' || !Number.isSafeInteger(r)) throw new Error(`${path}: not a LoRA adapter of a rank that is said (peft_type ${JSON.stringify(type)}, r ${JSON.stringify(r)})`);
  const file = await openSafetensors(join(folder, 'adapter_model.safetensors'));
  await file.close();
  const tensors = [...file.tensors.values()];
  const head = tensors.find(({ name }) => name === SCORE);
  const labels = head ? (await readHead(folder, head.shape[0]!)).labels : null;
  return { ...NOTHING, labels, adapter: { parameters: countElements(tensors), rank: r as number }, bytes: await folderBytes(folder), dtype: mostCommonType(tensors) };
}

async function findChatTemplate(folder: string, files: string[]): Promise<boolean> {
  if (files.some((name) => name.startsWith('chat_template.'))) return true;
  return (await readJsonFile(join(folder, 'tokenizer_config.json'), true))?.chat_template != null;
}

async function folderBytes(folder: string): Promise<number> {
  const names = (await readdir(folder)).filter((name) => !NOT_THE_MODEL.test(name));
  const sizes = await Promise.all(names.map((name) => stat(join(folder, name)).then((found) => (found.isFile() ? found.size : 0), () => 0)));
  return sizes.reduce((sum, size) => sum + size, 0);
}

function countElements(tensors: Pick<TensorInfo, 'shape'>[]): number {
  return tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
}

function mostCommonType(tensors: Pick<TensorInfo, 'shape' | 'dtype'>[]): string | null {
  const counts = new Map<string, number>();
  for (const tensor of tensors) counts.set(tensor.dtype, (counts.get(tensor.dtype) ?? 0) + countElements([tensor]));
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? null;
}
