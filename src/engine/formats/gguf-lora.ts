/**
 * LoRA adapters as GGUF, as llama.cpp's convert_lora_to_gguf.py writes them and its --lora reads them: of each adapted weight W the matrices
 * W.lora_a (r, inputs) and W.lora_b (outputs, r), rows of B in llama.cpp's order of W's rows, and adapter.lora.alpha; the update is
 * alpha / r · B A. The base's config says what they belong to: an adapter file does not. PEFT's own layout is peft.ts.
 */
import type { ModelConfig } from '../model/config.ts';
import { type PlannedTensor, writeGgufFile } from './gguf-encode.ts';
import { arrange, arrangeBack, checkRuns, familyOf, huggingFaceModule, moduleName } from './gguf-families.ts';
import { FILE_TYPE } from './gguf-layout.ts';
import { aboutEntries, type GgufAbout } from './gguf-name.ts';
import { openGgufTensors } from './gguf-reader.ts';
import type { ReadAdapter } from './peft.ts';

export type LoraType = 'f32' | 'f16' | 'bf16';

/** @param config the base's */
export async function writeGgufAdapter(path: string, { config, adapter, about, type }: { config: ModelConfig; adapter: ReadAdapter; about: GgufAbout; type: LoraType }): Promise<{ bytes: number; sha256: string }> {
  const fail = (what: string): never => {
    throw new Error(`cannot write ${path}: ${what}`);
  };
  const family = familyOf(config, fail);
  checkRuns(config, family, fail);
  if (adapter.score) fail('a score head has no place in GGUF; export it with --format peft');
  if (adapter.saved.size > 0) fail('tensors that were trained whole (modules_to_save) have no place in a LoRA GGUF; export the model merged');
  const tensors = [...adapter.tensors].flatMap(([module, { a, b, r, scale, magnitude }]): PlannedTensor[] => {
    if (magnitude) fail('llama.cpp has no DoRA; export the model merged');
    const { gguf } = moduleName(config, module);
    const outputs = b.length / r;
    // the file has one alpha: a module of another scale has it in its B
    const own = scale / (adapter.loraAlpha / r);
    const scaled = Math.abs(own - 1) < 1e-12 ? b : b.map((x) => x * own);
    return [
      { name: `${gguf}.weight.lora_a`, shape: [r, a.length / r], type, read: async () => a },
      { name: `${gguf}.weight.lora_b`, shape: [outputs, r], type, read: async () => arrange(config, module, scaled, [outputs, r]) },
    ];
  });
  return writeGgufFile(path, [
    ['general.architecture', { string: family.architecture }],
    ['general.type', { string: 'adapter' }],
    ['adapter.type', { string: 'lora' }],
    ['adapter.lora.alpha', { f32: adapter.loraAlpha }],
    ...aboutEntries(about),
    ['general.file_type', { u32: FILE_TYPE[type] }],
  ], tensors);
}

/** @param config the base's */
export async function readGgufAdapter(path: string, config: ModelConfig): Promise<ReadAdapter> {
  const fail = (what: string): never => {
    throw new Error(`${path}: ${what}`);
  };
  const family = familyOf(config, fail);
  const file = await openGgufTensors(path);
  try {
    const of = (key: string) => file.metadata.get(key);
    if (of('general.type') !== 'adapter' || of('adapter.type') !== 'lora') fail('general.type and adapter.type are not adapter and lora; it is no LoRA adapter');
    if (of('general.architecture') !== family.architecture) fail(`it is for ${String(of('general.architecture'))}, the base is ${family.architecture}; name its own base`);
    const alpha = of('adapter.lora.alpha');
    if (typeof alpha !== 'number' || !(alpha > 0)) return fail(`adapter.lora.alpha is ${JSON.stringify(alpha)}; expected a number above 0`);
    const tensors: ReadAdapter['tensors'] = new Map();
    for (const [name, { shape }] of file.tensors) {
      const stem = name.replace(/\.weight\.lora_[ab]$/, '');
      const module = huggingFaceModule(config, stem);
      if (stem === name || module === null) return fail(`tensor ${name} is no LoRA matrix of a linear layer of this base`);
      if (name.endsWith('b')) continue;
      const b = file.tensors.get(`${stem}.weight.lora_b`) ?? fail(`tensor ${name} has no partner; the adapter is incomplete`);
      const r = shape[0]!;
      if (b.shape[1] !== r) fail(`tensor ${name} has rank ${r}, its partner ${b.shape[1]}; the file is damaged`);
      tensors.set(module, { a: await file.read(name), b: arrangeBack(config, module, await file.read(`${stem}.weight.lora_b`), b.shape), r, scale: alpha / r, magnitude: null });
    }
    if (tensors.size === 0) fail('it holds no LoRA matrices');
    const { r } = tensors.values().next().value!;
    return {
      r, loraAlpha: alpha, loraDropout: 0, baseModel: null, baseWeights: 'stored', tensors, saved: new Map(), score: null,
      targetModules: [...new Set([...tensors.keys()].map((name) => name.slice(name.lastIndexOf('.') + 1)))].sort(),
    };
  } finally {
    await file.close();
  }
}
