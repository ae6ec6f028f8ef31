/**
 * A model path (folder, and maybe an adapter) → a model ready on a device. The one place where formats, tokenizer and model meet.
 * An adapter is continued when LoRA is trained, put beside weights that are shared, and merged into them otherwise.
 */
import { join } from 'node:path';
import type { ModelPath, TrainJob } from '../shared/job.ts';
import type { Device } from './device/device.ts';
import { readBaseWeights } from './formats/base-weights.ts';
import { readGgufAdapter } from './formats/gguf-lora.ts';
import { isGgufPath, type ModelFolder, openModelFolder } from './formats/model-folder.ts';
import { type ReadAdapter, readAdapter } from './formats/peft.ts';
import { asKept, isBlockStorage } from './formats/weight-blocks.ts';
import { keptStorage, storageOf, type WeightStorage } from './model/base-weights.ts';
import { checkTokenizerFits, parseModelConfig } from './model/config.ts';
import { readScoreHead, type ScoreHead, scoreHeadConfig } from './model/heads.ts';
import { type LanguageModel, loadLanguageModel } from './model/language-model.ts';
import { ALL_LINEAR, type LoraSetting } from './model/lora.ts';
import { storedName } from './model/parameters.ts';
import type { Tokenizer } from './tokenizer/tokenizer.ts';

export type OpenOptions = {
  /** bf16-if-stored keeps frozen bf16 weights and blocks as they are on disk, or as the adapter's base was kept in training; f32 widens them; q8_0 rounds them, for decoding. */
  storage: 'bf16-if-stored' | Exclude<WeightStorage, 'stored'>;
  trainable: 'all' | 'lora' | 'score' | 'none';
  lora?: LoraSetting;
  seed?: number;
  gradientCheckpointing?: boolean;
  randomInit?: boolean;
  /** A model of the same folder whose frozen weights are this one's too; an adapter stays beside them then. */
  shared?: LanguageModel;
  /** Trained or new: a score head with these labels in place of the LM head. */
  head?: ScoreHead;
};

/** What is written beside the weights when the model is saved; `config` tells of its score head, and `head` is that part of it. */
export type ModelSource = Pick<ModelFolder, 'config' | 'generationConfig'> & { head: ScoreHead | null };

/** Whether a model can stand on the policy's own frozen weights: under LoRA, where it is of the same folder. */
export function onPolicyBase({ recipe, model }: Pick<TrainJob, 'recipe' | 'model'>, { folder }: ModelPath): boolean {
  return recipe.lora !== null && folder === model.folder;
}

/** How the model a recipe trains keeps its weights. */
export function trainedStorage({ lora }: Pick<TrainJob['recipe'], 'lora'>): OpenOptions['storage'] {
  const storage = lora ? storageOf(lora.baseWeights) : 'f32';
  return storage === 'stored' ? 'bf16-if-stored' : storage;
}

/** The same for a model whose adapter may have been trained on the base kept otherwise: its answers would change. */
export async function sharesPolicyBase(job: Pick<TrainJob, 'recipe' | 'model'>, path: ModelPath): Promise<boolean> {
  return onPolicyBase(job, path) && (path.adapter === undefined || (await readBaseWeights(path.adapter)) === (job.recipe.lora!.baseWeights ?? 'stored'));
}

export async function openModel(
  device: Device,
  path: ModelPath,
  tokenizer: Tokenizer,
  { storage, head, ...options }: OpenOptions,
): Promise<{ model: LanguageModel; source: ModelSource }> {
  const folder = await openModelFolder(path.folder, { weights: !options.randomInit });
  try {
    const config = parseModelConfig(folder.config, join(path.folder, 'config.json'));
    checkTokenizerFits(config, tokenizer.vocabSize, path.folder);
    const adapter = !path.adapter ? undefined : isGgufPath(path.adapter) ? await readGgufAdapter(path.adapter, config) : await readAdapter(path.adapter);
    if (adapter && options.lora) checkSameLora(adapter, options.lora, path.adapter!);
    if (adapter && options.trainable === 'lora') checkSameBase(adapter, storage, path.adapter!);
    const based = adapter ? storageOf(adapter.baseWeights) : 'stored';
    const asStored = based === 'stored' || options.trainable === 'lora' ? 'stored' : based;
    // an adapter on blocks stays beside them: to merge it would take a dense model
    const inBlocks = isBlockStorage(asStored) || [...folder.tensors.values()].some(({ dtype }) => dtype === 'Q8_0' || dtype === 'Q4_0');
    const isBeside = options.shared !== undefined || (storage === 'bf16-if-stored' ? inBlocks : storage === 'bf16' || isBlockStorage(storage));
    const merge = adapter !== undefined && options.trainable === 'none' && !isBeside;
    const model = await loadLanguageModel(device, folder, {
      ...options,
      numLabels: head?.labels.length,
      // merged weights stay f32: rounded to bf16 they would answer differently from the trainer
      storage: storage !== 'bf16-if-stored' ? storage : merge || options.trainable === 'all' ? 'f32' : asStored,
      adapterBase: based === 'stored' ? undefined : (name, shape, values, keptAs) => {
        const trainedOn = keptStorage(config, name, shape, folder.tensors.get(storedName(config, folder, name))?.dtype, based);
        return trainedOn === keptAs || trainedOn === 'q8_0' ? values : asKept(values, trainedOn);
      },
      ...(merge ? { mergeAdapter: adapter } : { adapter }),
    });
    const { architecture, numLabels } = model.config;
    const known = head ?? adapter?.score?.head ?? (numLabels === null ? null : readScoreHead(folder.config));
    const written = known ? scoreHeadConfig(folder.config, architecture, known) : folder.config;
    return { model, source: { config: written, generationConfig: known ? null : folder.generationConfig, head: known } };
  } finally {
    await folder.close();
  }
}

/** Whether an adapter is DoRA's. */
const usesDora = (adapter: ReadAdapter) => [...adapter.tensors.values()].some(({ magnitude }) => magnitude !== null);

/** Training goes on with an adapter as it is; its shape is not the recipe's to change. */
function checkSameLora(adapter: ReadAdapter, lora: LoraSetting, folder: string): void {
  const [has, wants] = [{ ...adapter, useDora: usesDora(adapter) }, { useDora: false, ...lora }];
  for (const field of ['r', 'loraAlpha', 'useDora', 'targetModules'] as const) {
    if (field === 'targetModules' && lora.targetModules.includes(ALL_LINEAR)) continue;
    const [found, wanted] = [has[field], wants[field]].map((value) => JSON.stringify(Array.isArray(value) ? [...value].sort() : value));
    if (found !== wanted) {
      throw new Error(`${folder}: the adapter has ${field} ${found}, the recipe's lora.${field} is ${wanted}: set it to the adapter's, or export the model merged and train on that`);
    }
  }
}

/** An adapter that tells the numbers it was trained on goes on with those. */
function checkSameBase(adapter: ReadAdapter, storage: OpenOptions['storage'], folder: string): void {
  const wanted = storage === 'bf16-if-stored' ? 'stored' : storage;
  if (adapter.baseWeights === 'stored' || storageOf(adapter.baseWeights) === wanted) return;
  throw new Error(`${folder}: the adapter was trained on a base kept as ${adapter.baseWeights}: set lora.baseWeights to ${adapter.baseWeights}, or export the model merged and train on that`);
}
