/**
 * The `export` job: a model, with its adapter merged or alone, in the format others load. Streams a tensor at a time, and goes on where a job of
 * the same kind was ended (formats/journal.ts). What each format looks like is formats/'s affair; that the folder then appears whole is main's.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExportJob } from '../../shared/job.ts';
import type { ExportResult } from '../../shared/job-results.ts';
import type { Device } from '../device/device.ts';
import { expertsOf } from '../formats/gguf-experts.ts';
import { aboutOf } from '../formats/gguf-about.ts';
import { notesOf } from '../formats/gguf-families.ts';
import { type LoraType, writeGgufAdapter } from '../formats/gguf-lora.ts';
import { ggufFileName } from '../formats/gguf-name.ts';
import { writeGguf } from '../formats/gguf.ts';
import { withJournal } from '../formats/journal.ts';
import { fillModelFolder, openModelFolder } from '../formats/model-folder.ts';
import { readAdapter, writeAdapter } from '../formats/peft.ts';
import { writeAtOnce, type WriteFile } from '../formats/pieces.ts';
import type { TensorSource } from '../formats/safetensors.ts';
import { parseModelConfig } from '../model/config.ts';
import { unfused } from '../model/fused-experts.ts';
import { SCORE } from '../model/parameters.ts';
import { openModel } from '../open-model.ts';
import { loadTokenizer } from '../tokenizer/tokenizer.ts';

const DTYPES = { f32: 'F32', f16: 'F16', bf16: 'BF16' } as const;
const TORCH_DTYPES = { f32: 'float32', f16: 'float16', bf16: 'bfloat16' } as const;

/** `device` does the merging of an adapter; without one nothing is computed. `count` hears how many tensors are there, and how many of these were before. */
export async function exportModel(job: ExportJob, device: () => Device, count: (done: number, total: number, already: number) => void): Promise<ExportResult> {
  if (job.format === 'peft' || job.format === 'lora-gguf') return exportAdapter(job);
  if (job.format === 'safetensors' && !Object.hasOwn(DTYPES, job.dtype)) throw new Error(`--type ${job.dtype} is a GGUF type; safetensors takes f32, f16 or bf16`);

  const model = await wholeModel(job, device);
  const progress = { done: 0, kept: 0, total: 0 };
  const onPiece = (kept: boolean): void => {
    progress.done++;
    if (kept) progress.kept++;
    count(progress.done, progress.total, progress.kept);
  };
  try {
    await mkdir(job.out, { recursive: true });
    if (job.journal === undefined) return await writeModel(job, model, writeAtOnce);
    return await withJournal(job.journal, onPiece, (write) => writeModel(job, model, (path, head, pieces) => {
      // one file of GGUF has some tensors that no other format has; a sharded model has several files
      progress.total = job.format === 'gguf' ? pieces.length : model.tensors.length;
      return write(path, head, pieces);
    }));
  } finally {
    await model.close();
  }
}

async function writeModel(job: ExportJob, { tensors, config, generationConfig }: WholeModel, writeFile: WriteFile): Promise<ExportResult> {
  const about = await aboutOf(job);
  if (job.format === 'gguf') {
    if (tensors.some(({ name }) => name === SCORE)) throw new Error('--format gguf: a reward model or classifier has no place in GGUF; export it as safetensors');
    const parsed = parseModelConfig(config, job.model.folder);
    const parameters = tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    const told = { ...about, name: job.name, baseName: job.about.baseName, parameters, experts: expertsOf(parsed, tensors) };
    const name = ggufFileName(told, job.dtype, 'model');
    const written = await writeGguf(join(job.out, name), { config, tokenizerFolder: job.model.folder, about: told, type: job.dtype, tensors }, writeFile);
    return { path: join(job.out, name), files: [{ name, ...written }], notes: notesOf(parsed), about };
  }
  const dtype = job.dtype as keyof typeof DTYPES;
  const model = {
    config: { ...config, dtype: TORCH_DTYPES[dtype], torch_dtype: TORCH_DTYPES[dtype] },
    generationConfig,
    tensors: tensors.map((tensor) => ({ ...tensor, dtype: DTYPES[dtype] })),
    copyFrom: job.model.folder,
  };
  return { path: job.out, files: await fillModelFolder(job.out, model, { writeFile }), notes: [], about };
}

/** Small: it is written at one go, and again when it was ended. */
async function exportAdapter(job: ExportJob): Promise<ExportResult> {
  if (!job.model.adapter) throw new Error(`--format ${job.format}: this model is not an adapter; export it with --format safetensors`);
  const adapter = await readAdapter(job.model.adapter);
  const about = await aboutOf(job);
  if (job.format === 'lora-gguf') {
    if (!Object.hasOwn(DTYPES, job.dtype)) throw new Error(`--type ${job.dtype}: an adapter is small and takes f32, f16 or bf16`);
    const config = parseModelConfig(await readConfigOf(job.model.folder), job.model.folder);
    const parameters = [...adapter.tensors.values()].reduce((sum, { a, b }) => sum + a.length + b.length, 0);
    const told = { ...about, name: job.name, baseName: job.about.baseName, parameters };
    const name = ggufFileName(told, job.dtype, 'lora');
    const written = await writeGgufAdapter(join(job.out, name), { config, adapter, about: told, type: job.dtype as LoraType });
    return { path: join(job.out, name), files: [{ name, ...written }], notes: notesOf(config), about };
  }
  const modules = [...adapter.tensors].map(([name, { a, b, r, scale, magnitude }]) => ({
    name, r, scale,
    a: async () => a,
    b: async () => b,
    magnitude: magnitude && (async () => magnitude),
    inFeatures: a.length / r,
    outFeatures: b.length / r,
  }));
  return { path: job.out, files: await writeAdapter(job.out, { lora: adapter, baseWeights: adapter.baseWeights, baseModel: job.model.folder, modules, saved: adapter.saved, score: adapter.score }), notes: [], about };
}

async function readConfigOf(path: string): Promise<Record<string, unknown>> {
  const folder = await openModelFolder(path);
  await folder.close();
  return folder.config;
}

type WholeModel = { tensors: TensorSource[]; config: Record<string, unknown>; generationConfig: Record<string, unknown> | null; close: () => Promise<void> };

/** Every tensor of the model under its Hugging Face name: straight from the disk, or through the device where an adapter must be merged. */
async function wholeModel(job: ExportJob, device: () => Device): Promise<WholeModel> {
  const tokenizer = await loadTokenizer(job.model.folder);
  if (job.model.adapter) {
    const { model, source } = await openModel(device(), job.model, tokenizer, { storage: 'f32', trainable: 'none' });
    const tensors = model.tensors({ merge: true }).map((tensor): TensorSource => ({ ...tensor, dtype: 'F32' }));
    return { tensors, ...source, close: async () => model.free() };
  }
  const opened = await openModelFolder(job.model.folder);
  // GGUF has experts' gate and up apart
  const folder = job.format === 'gguf' ? unfused(parseModelConfig(opened.config, job.model.folder), opened) : opened;
  const tensors = [...folder.tensors].map(([name, { shape }]): TensorSource => ({ name, shape, dtype: 'F32', read: () => folder.read(name) }));
  return { tensors, config: folder.config, generationConfig: folder.generationConfig, close: folder.close };
}
