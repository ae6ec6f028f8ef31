/**
 * Folders in FP8, as DeepSeek, Qwen, vLLM's llm-compressor and NVIDIA's ModelOpt publish them: linears of eight-bit floats with scales beside them
 * (weight_scale_inv by blocks, weight_scale by rows or for the whole; both are multiplied). What is given back looks like a folder that was never
 * quantised: the scales are folded in as a weight is read, and config.json says nothing of them. Scales of activations and of the KV cache are
 * left out, for here both are computed in f32. Other ways to quantise a folder are refused by name.
 */
import { brief } from '../../shared/brief.ts';
import type { ModelFolder } from './model-folder.ts';

type Tensors = ModelFolder['tensors'];

const SCALE = /^(.+\.weight)_scale(_inv)?$/;
const NOT_OF_WEIGHTS = /\.([qkv]|kv|input|output|activation)_scale$/;
const METHODS = ['fp8', 'fbgemm_fp8', 'compressed-tensors', 'modelopt'];
const WEIGHTS = ['F8_E4M3', 'F8_E5M2'];

/** The folder itself where nothing in it is quantised. */
export function withoutFp8(folder: ModelFolder): ModelFolder {
  const { quantization_config: quantization, ...config } = folder.config;
  const where = `${folder.folder}/config.json`;
  const method = (quantization as { quant_method?: unknown } | null | undefined)?.quant_method;
  if (method !== undefined && !METHODS.includes(String(method))) {
    throw new Error(`${where}: quantization_config.quant_method is ${brief(JSON.stringify(method))}; of quantised folders only FP8 is read (${METHODS.join(', ')}): name the model as it was before, or a GGUF file of it`);
  }
  const scales = new Map<string, string>();
  const tensors: Tensors = new Map();
  for (const [name, info] of folder.tensors) {
    const weight = SCALE.exec(name)?.[1];
    if (weight !== undefined) scales.set(weight, name);
    else if (!NOT_OF_WEIGHTS.test(name)) tensors.set(name, info);
  }
  if (scales.size === 0 && quantization === undefined) return folder;

  const block = blockOf(quantization);
  const grids = new Map<string, Grid>();
  for (const [name, scale] of scales) {
    const [weight, grid] = [tensors.get(name), folder.tensors.get(scale)!];
    if (!weight) throw new Error(`${grid.file}: tensor ${scale} scales ${name}, which is missing; download the folder again`);
    if (!WEIGHTS.includes(weight.dtype)) {
      throw new Error(`${weight.file}: tensor ${name} is ${weight.dtype} with scales; of quantised weights only ${WEIGHTS.join(' and ')} are read: name the model as it was before, or a GGUF file of it`);
    }
    grids.set(name, gridOf(weight, grid, block));
  }
  const scaled = async (name: string): Promise<Float32Array> => {
    const values = await folder.read(name);
    const scale = scales.get(name);
    if (scale === undefined) return values;
    multiply(values, tensors.get(name)!.shape.at(-1)!, await folder.read(scale), grids.get(name)!);
    return values;
  };
  return { ...folder, config, tensors, read: scaled };
}

/** Rows and columns one scale stands for, and scales in a row. */
type Grid = { rows: number; columns: number; across: number };
type Info = Tensors extends Map<string, infer Value> ? Value : never;

/** A block's sides, by either of the two places that say them. */
function blockOf(quantization: unknown): [number, number] | null {
  const { weight_block_size: direct, config_groups: groups } = (quantization ?? {}) as { weight_block_size?: unknown; config_groups?: Record<string, { weights?: { block_structure?: unknown } }> };
  const sides = direct ?? Object.values(groups ?? {}).find((group) => group?.weights?.block_structure)?.weights?.block_structure;
  return Array.isArray(sides) && sides.length === 2 && sides.every((side) => Number.isSafeInteger(side) && side > 0) ? (sides as [number, number]) : null;
}

/** Blocks as they are said, the last of a side maybe not whole; else those that divide the weight evenly: rows, or the whole. */
function gridOf(weight: Info, { name, shape }: Info, block: [number, number] | null): Grid {
  const [O, I] = weight.shape.length === 2 ? (weight.shape as [number, number]) : [1, weight.shape.reduce((a, b) => a * b, 1)];
  const [down, across] = shape.length === 2 ? (shape as [number, number]) : [shape[0] ?? 1, 1];
  if (block && down === Math.ceil(O / block[0]) && across === Math.ceil(I / block[1])) return { rows: block[0], columns: block[1], across };
  if (shape.length <= 2 && down > 0 && across > 0 && O % down === 0 && I % across === 0) return { rows: O / down, columns: I / across, across };
  throw new Error(`${weight.file}: tensor ${name} has shape [${shape.join(', ')}], which are no blocks of ${weight.name} [${weight.shape.join(', ')}]${block ? ` (${block.join(' by ')} by config.json)` : ''}; download the folder again`);
}

/** In place; row after row, so that a row's scales are looked up once a block. */
function multiply(values: Float32Array, I: number, scales: Float32Array, { rows, columns, across }: Grid): void {
  for (let row = 0; row * I < values.length; row++) {
    const first = Math.floor(row / rows) * across;
    for (let column = 0; column < I; column++) values[row * I + column]! *= scales[first + Math.floor(column / columns)]!;
  }
}
