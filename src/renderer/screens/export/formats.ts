/** What an export can be: formats, the types each takes, and how large it will be. Words are words.ts'. */
import type { ExportRecord } from '../../../shared/api/exports.ts';
import type { ModelSummary } from '../../../shared/api/models.ts';

export type Format = ExportRecord['format'];
export type Dtype = ExportRecord['dtype'];

/** The usual one first. A PEFT adapter is written as it was trained. */
export const DTYPES: Record<Format, Dtype[]> = { safetensors: ['bf16', 'f16', 'f32'], gguf: ['f16', 'q8_0', 'q4_k_m', 'q4_0', 'bf16', 'f32'], peft: ['f32'], 'lora-gguf': ['f32', 'f16', 'bf16'] };

/** q8_0: 32 weights of one byte share a scale of two. The 4-bit ones keep some tensors in six: about this much of a whole model. */
const BYTES: Record<Dtype, number> = { f32: 4, f16: 2, bf16: 2, q8_0: 34 / 32, q4_k_m: 4.9 / 8, q4_0: 4.7 / 8 };

export function formatsOf(model: Pick<ModelSummary, 'form'> | undefined): Format[] {
  return model?.form === 'adapter' ? ['safetensors', 'peft', 'gguf', 'lora-gguf'] : ['safetensors', 'gguf'];
}

/** Bytes of the weights; null where the model's size is not known. Tokeniser and card come on top: little beside them. */
export function estimatedBytes(model: Pick<ModelSummary, 'parameters' | 'adapterParameters'>, format: Format, dtype: Dtype): number | null {
  const weights = format === 'peft' || format === 'lora-gguf' ? model.adapterParameters : model.parameters;
  return weights === null ? null : Math.round(weights * (format === 'peft' ? BYTES.f32 : BYTES[dtype]));
}

/** What the address asks for, brought to something that exists. */
export function readChoice(query: URLSearchParams, model: Pick<ModelSummary, 'form'> | undefined): { format: Format; dtype: Dtype } {
  const formats = formatsOf(model);
  const format = formats.find((format) => format === query.get('format')) ?? formats[0];
  const dtype = DTYPES[format].find((dtype) => dtype === query.get('type')) ?? DTYPES[format][0];
  return { format, dtype };
}
