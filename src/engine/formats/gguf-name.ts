/**
 * What a GGUF file is called and says of itself, by the format's naming convention:
 *   BaseName-SizeLabel-FineTune-Version-Encoding[-LoRA].gguf
 * (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md#gguf-naming-convention), and the general.* keys that tell the same.
 */
import type { GgufType } from './gguf-layout.ts';
import type { GgufValue } from './gguf-tokenizer.ts';

/** Null and empty: not known. */
export type GgufAbout = {
  /** As the library calls the model. */
  name: string;
  /** The model at the root of its lineage; `name` where it was trained from nothing. */
  baseName: string;
  /** Of whole models; of an adapter its own. */
  parameters: number;
  /** Of a mixture of experts: how many a layer has, and the parameters of a model with one of each layer. */
  experts?: { count: number; parameters: number };
  /** What it was trained on, and by. */
  datasets: string[];
  method: string | null;
  license: string | null;
};

/** Before anybody gave another. */
const VERSION = 'v1.0';
const ENCODING: Record<GgufType, string> = { f32: 'F32', f16: 'F16', bf16: 'BF16', q8_0: 'Q8_0', q4_0: 'Q4_0', q4_k_m: 'Q4_K_M' };

export function ggufFileName(about: GgufAbout, type: GgufType, kind: 'model' | 'lora'): string {
  const { basename, finetune } = partsOf(about);
  return `${[basename, sizeLabel(about), finetune, VERSION, ENCODING[type], kind === 'lora' ? 'LoRA' : null].filter((part) => part !== null).join('-')}.gguf`;
}

/** Letters, digits and single dashes: all that the convention's parts may have. */
function partsOf({ name, baseName }: GgufAbout): { basename: string; finetune: string | null } {
  const clean = (text: string) => text.replace(/[^A-Za-z0-9]+/g, '-').replace(/^-|-$/g, '');
  const [base, own] = [clean(baseName) || 'model', clean(name)];
  const rest = own.startsWith(`${base}-`) ? own.slice(base.length + 1) : own;
  return { basename: base, finetune: own === base || rest === '' ? null : rest };
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

export function aboutEntries(about: GgufAbout): [string, GgufValue][] {
  const { basename, finetune } = partsOf(about);
  const text = (key: string, value: string | null): [string, GgufValue][] => (value === null || value === '' ? [] : [[`general.${key}`, { string: value }]]);
  const isTrained = about.method !== null;
  return [
    ...text('name', about.name),
    ...text('basename', basename),
    ...text('finetune', finetune),
    ...text('version', VERSION),
    ...text('size_label', sizeLabel(about)),
    ...text('license', about.license),
    ...(isTrained && about.baseName !== about.name
      ? ([['general.base_model.count', { u32: 1 }], ['general.base_model.0.name', { string: about.baseName }]] satisfies [string, GgufValue][]) : []),
    ...(about.datasets.length > 0 ? ([['general.dataset.count', { u32: about.datasets.length }], ...about.datasets.map((name, i): [string, GgufValue] => [`general.dataset.${i}.name`, { string: name }])] satisfies [string, GgufValue][]) : []),
    ['general.tags', { strings: ['attune', ...(isTrained ? [about.method!] : []), 'text-generation'] }],
  ];
}
