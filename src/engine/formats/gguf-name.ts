/**
 * What a GGUF file is called, by the format's naming convention:
 *   BaseName-SizeLabel-FineTune-Version-Encoding[-LoRA].gguf
 * (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md#gguf-naming-convention). What it says of itself is gguf-about.ts'.
 */
import type { About } from '../../shared/export-about.ts';
import type { GgufType } from './gguf-layout.ts';

export type GgufAbout = About & {
  /** As the library calls the model. */
  name: string;
  /** The model at the root of its lineage; `name` where it was trained from nothing. */
  baseName: string;
  /** Of whole models; of an adapter its own. */
  parameters: number;
  /** Of a mixture of experts: how many a layer has, and the parameters of a model with one of each layer. */
  experts?: { count: number; parameters: number };
};

/** Before anybody gave another. */
const VERSION = 'v1.0';
const ENCODING: Record<GgufType, string> = { f32: 'F32', f16: 'F16', bf16: 'BF16', q8_0: 'Q8_0', q4_0: 'Q4_0', q4_k_m: 'Q4_K_M' };

export function ggufFileName(about: GgufAbout, type: GgufType, kind: 'model' | 'lora'): string {
  const { basename, finetune, version } = partsOf(about);
  const named = version.replace(/[^A-Za-z0-9.]+/g, '.').replace(/^(?=\d)/, 'v');
  return `${[basename, sizeLabel(about), finetune, named, ENCODING[type], kind === 'lora' ? 'LoRA' : null].filter((part) => part !== null).join('-')}.gguf`;
}

/** Letters, digits and single dashes: all that the convention's parts may have. */
export function partsOf({ name, baseName, version = VERSION }: GgufAbout): { basename: string; finetune: string | null; version: string } {
  const clean = (text: string) => text.replace(/[^A-Za-z0-9]+/g, '-').replace(/^-|-$/g, '');
  const [base, own] = [clean(baseName) || 'model', clean(name)];
  const rest = own.startsWith(`${base}-`) ? own.slice(base.length + 1) : own;
  return { basename: base, finetune: own === base || rest === '' ? null : rest, version };
}

/** 3.4M, 12M, 1.1B: two digits at least, as gguf-py counts; of a mixture 8x7.2B, a model of one expert times their number. */
export function sizeLabel({ parameters, experts }: Pick<GgufAbout, 'parameters' | 'experts'>): string {
  return experts ? `${experts.count}x${rounded(experts.parameters)}` : rounded(parameters);
}

function rounded(parameters: number): string {
  const [scale, letter] = ([[1e12, 'T'], [1e9, 'B'], [1e6, 'M'], [1e3, 'K']] as const).find(([from]) => parameters >= from) ?? [1e3, 'K'];
  const scaled = parameters / scale;
  const digits = Math.round(scaled) === 0 ? 0 : String(Math.round(scaled)).length;
  return `${scaled.toFixed(Math.max(2 - digits, 0))}${letter}`;
}
