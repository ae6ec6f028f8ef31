/**
 * LoRA adapters as GGUF, as llama.cpp's convert_lora_to_gguf.py writes them and its --lora reads them: of each adapted weight W the matrices
 * W.lora_a (r, inputs) and W.lora_b (outputs, r), rows of B in llama.cpp's order of W's rows, and adapter.lora.alpha; the update is
 * alpha / r · B A. Of experts, whose weights are one tensor there, A is (experts, r, inputs) and B (experts, outputs, r). The base's config says what they belong to: an adapter file does not. PEFT's own layout is peft.ts.
 */
import type { ModelConfig } from '../model/config.ts';
import { type PlannedTensor, writeGgufFile } from './gguf-encode.ts';
import { isFusedExperts } from './gguf-experts.ts';
import { arrange, arrangeBack, checkRuns, familyOf, huggingFaceModules, moduleName } from './gguf-families.ts';
import { FILE_TYPE } from './gguf-layout.ts';
import { aboutEntries } from './gguf-about.ts';
import type { GgufAbout } from './gguf-name.ts';
import { openGgufTensors } from './gguf-reader.ts';
import type { ModuleUpdate } from '../model/lora.ts';
import type { ReadAdapter } from './peft.ts';

export type LoraType = 'f32' | 'f16' | 'bf16';

type Update = ModuleUpdate & { module: string; gguf: string; expert: number | null };

/** @param config the base's */
export async function writeGgufAdapter(path: string, { config, adapter, about, type }: { config: ModelConfig; adapter: ReadAdapter; about: GgufAbout; type: LoraType }): Promise<{ bytes: number; sha256: string }> {
  const fail = (what: string): never => {
    throw new Error(`cannot write ${path}: ${what}`);
  };
  const family = familyOf(config, fail);
  checkRuns(config, family, fail);
  if (adapter.score) fail('a score head has no place in GGUF; export it with --format peft');
  if (adapter.saved.size > 0) fail('tensors that were trained whole (modules_to_save) have no place in a LoRA GGUF; export the model merged');
  const updates = [...adapter.tensors].map(([module, update]): Update => {
    if (update.magnitude) fail('llama.cpp has no DoRA; export the model merged');
    return { ...update, module, ...moduleName(config, module) };
  });
  const tensors = [...Map.groupBy(updates, ({ gguf }) => gguf)].flatMap(([gguf, modules]): PlannedTensor[] => {
    const [{ a, b, r: own, expert }] = modules as [Update];
    const [inputs, outputs, r] = [a.length / own, b.length / own, Math.max(...modules.map((update) => update.r))];
    // experts are one tensor of one rank: a smaller one is filled up with zeros, and so is an expert without an update
    const each = expert === null ? modules : Array.from({ length: config.mixture!.numExperts }, (_, e) => modules.find((update) => update.expert === e));
    const matrix = (name: string, rows: number, columns: number, make: (update: Update) => Float32Array): PlannedTensor => ({
      name: `${gguf}.weight.${name}`, type, shape: expert === null ? [rows, columns] : [each.length, rows, columns],
      parts: each.map((update) => async () => (update ? make(update) : new Float32Array(rows * columns))),
    });
    return [
      matrix('lora_a', r, inputs, (update) => matrixOf(update.a, update.r, r, inputs, 1)),
      // the file has one alpha: a module of another scale has it in its B
      matrix('lora_b', outputs, r, (update) => arrange(config, update.module, matrixOf(update.b, outputs, outputs, r, update.scale / (adapter.loraAlpha / r)), [outputs, r])),
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

/** x, of so many rows, as a matrix of as many or more rows and columns: zeros below and to the right; times `scale`. */
function matrixOf(x: Float32Array, own: number, rows: number, columns: number, scale: number): Float32Array {
  const isSame = Math.abs(scale - 1) < 1e-12;
  if (isSame && x.length === rows * columns) return x;
  const [out, width] = [new Float32Array(rows * columns), x.length / own];
  for (let i = 0; i < x.length; i++) out[Math.floor(i / width) * columns + (i % width)] = isSame ? x[i]! : x[i]! * scale;
  return out;
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
      const modules = huggingFaceModules(config, stem);
      if (stem === name || modules.length === 0) return fail(`tensor ${name} is no LoRA matrix of a linear layer of this base`);
      if (name.endsWith('b')) continue;
      const b = file.tensors.get(`${stem}.weight.lora_b`) ?? fail(`tensor ${name} has no partner; the adapter is incomplete`);
      const r = shape.at(-2)!;
      if (b.shape.at(-1) !== r) fail(`tensor ${name} has rank ${r}, its partner ${b.shape.at(-1)}; the file is damaged`);
      const isFused = isFusedExperts(stem);
      if ([shape, b.shape].some(({ length, 0: count }) => length !== (isFused ? 3 : 2) || (isFused && count !== modules.length))) {
        fail(`tensor ${name} has shape [${shape.join(', ')}], its partner [${b.shape.join(', ')}]; expected ${isFused ? `two matrices for each of ${modules.length} experts` : 'matrices'}, the adapter is of another base`);
      }
      const [allA, allB] = [await file.read(name), await file.read(`${stem}.weight.lora_b`)];
      const part = (all: Float32Array, i: number) => all.slice((i * all.length) / modules.length, ((i + 1) * all.length) / modules.length);
      modules.forEach((module, i) => tensors.set(module, { a: part(allA, i), b: arrangeBack(config, module, part(allB, i), b.shape.slice(-2)), r, scale: alpha / r, magnitude: null }));
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
