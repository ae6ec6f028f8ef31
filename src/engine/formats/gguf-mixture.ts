/**
 * Which type each tensor of a GGUF file takes, as llama.cpp's quantiser chooses (llama_tensor_get_type_impl): norms, biases and position
 * embeddings stay F32, and routers; the head, or the embedding that is the head, is Q6_K in 4-bit files; Q4_K_M gives more bits to the values and
 * the down projections of some layers, and attention more where eight experts share it, as in Mixtral 8x7B. Rows that are no whole blocks fall back on a type of smaller blocks. It reads no number.
 */
import { type GgufType, TENSOR_TYPE, type TensorType } from './gguf-layout.ts';

/** Where blocks of a type do not fit a row: one of smaller blocks, at last halves. */
const FALLBACK: Partial<Record<TensorType, TensorType>> = { q4_k: 'q5_0', q5_k: 'q5_1', q6_k: 'q8_0', q4_0: 'f16', q5_0: 'f16', q5_1: 'f16', q8_0: 'f16' };

/** The first and last eighth of the layers, and every third between. */
const hasMoreBits = (layer: number, layers: number): boolean => {
  const eighth = Math.floor(layers / 8);
  return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2;
};

export type MixtureModel = { architecture: string; layers: number; /** Query heads for each key head. */ group: number; /** There is no output.weight. */ tied: boolean; /** Of a layer; 0: a dense model. */ experts: number };

/** Llama's and Qwen 2's largest, where eight heads share their values. */
const isShared = ({ architecture, layers, group }: MixtureModel): boolean => layers === 80 && ((architecture === 'llama' && group > 1) || architecture === 'qwen2');

/** @param name llama.cpp's; @param shape outermost first */
export function tensorType(type: GgufType, { name, shape, layer }: { name: string; shape: number[]; layer: number | null }, model: MixtureModel): TensorType {
  if (shape.length < 2 || name.includes('norm.') || name.includes('ffn_gate_inp') || name === 'position_embd.weight') return 'f32';
  if (type === 'f32' || type === 'f16' || type === 'bf16') return type;
  const usual = type === 'q4_k_m' ? 'q4_k' : type;
  let wanted: TensorType = usual;
  if (type !== 'q8_0') {
    const row = shape[shape.length - 1]!;
    if (name === 'output.weight' || (model.tied && name === 'token_embd.weight')) wanted = row % TENSOR_TYPE[usual].block === 0 ? 'q6_k' : 'q8_0';
    else if (model.experts === 8 && /attn_[kv]\.weight$/.test(name)) wanted = 'q8_0';
    else if (type === 'q4_k_m' && layer !== null) {
      const isValues = /attn_(v|qkv)\.weight$/.test(name);
      if (model.experts === 8 && name.endsWith('attn_output.weight')) wanted = 'q5_k';
      else if ((isValues || name.includes('ffn_down')) && hasMoreBits(layer, model.layers)) wanted = 'q6_k';
      else if (isValues && isShared(model)) wanted = 'q5_k';
    }
  }
  return fitting(wanted, shape);
}

function fitting(type: TensorType, shape: number[]): TensorType {
  return shape[shape.length - 1]! % TENSOR_TYPE[type].block === 0 ? type : fitting(FALLBACK[type]!, shape);
}

export function bytesOfTensor(shape: number[], type: TensorType): number {
  const { block, bytes } = TENSOR_TYPE[type];
  return (shape.reduce((a, b) => a * b, 1) / block) * bytes;
}
