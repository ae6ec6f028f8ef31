/** What formats and types are called, where each runs, and what a parity check found. */
import type { ExportRecord, Parity } from '../../../shared/api/exports.ts';
import { formatPercent } from '../../format.ts';
import * as m from '../../paraglide/messages.js';
import type { Dtype, Format } from './formats.ts';

export const formatName: Record<Format, () => string> = { safetensors: m.export_safetensors, peft: m.export_peft, gguf: m.export_gguf, 'lora-gguf': m.export_lora_gguf };
export const formatHelp: Record<Format, () => string> = {
  safetensors: m.export_safetensors_help, peft: m.export_peft_help, gguf: m.export_gguf_help, 'lora-gguf': m.export_lora_gguf_help,
};
export const dtypeHelp: Record<Dtype, () => string> = {
  f32: m.export_f32_help, f16: m.export_f16_help, bf16: m.export_bf16_help, q8_0: m.export_q8_0_help, q4_k_m: m.export_q4_k_m_help, q4_0: m.export_q4_0_help,
};

/** `GGUF f16`; an adapter has no type to choose. */
export function kindOf({ format, dtype }: Pick<ExportRecord, 'format' | 'dtype'>): string {
  return format === 'peft' ? formatName.peft() : `${formatName[format]()} ${dtype}`;
}

export function expectedWords(parity: Parity): string {
  return parity.expected === 'equal' ? m.export_parity_expected_equal() : m.export_parity_expected_close({ share: formatPercent(parity.least ?? 0.99, 0) });
}
