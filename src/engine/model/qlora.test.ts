/**
 * LoRA on a base in blocks (QLoRA): against torch on the dequantised weights (fixtures/make-qlora-fixtures.py), central differences, and itself on the
 * same numbers in f32; what it takes of memory. Quantising itself is formats/weight-blocks.test.ts.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { buildEmulatedDriver } from '../../../scripts/build-cuda.mjs';
import type { BlockStorage, Device } from '../device/device.ts';
import { createCudaDevice } from '../device/cuda/cuda.ts';
import { createNativeDevice } from '../device/native.ts';
import { createReferenceDevice, type ReferenceTensor } from '../device/reference.ts';
import { asKept, storageBytes } from '../formats/weight-blocks.ts';
import { keptStorage, type WeightStorage } from './base-weights.ts';
import { loadLanguageModel, type LanguageModel } from './language-model.ts';
import type { TensorFolder } from './parameters.ts';
import { gradients, packed, relativeError } from './testing.ts';

type Golden = { config: Record<string, number | boolean>; sequences: number[][] } & Record<BlockStorage, { loss: number; gradients: string }>;
const golden = JSON.parse(readFileSync(new URL('../../../fixtures/qlora.json', import.meta.url), 'utf8')) as Golden;
const emulated = (await buildEmulatedDriver()).path;
const KINDS = ['int8', 'q4_0', 'nf4'] as const;
const lora = { r: 2, loraAlpha: 4, loraDropout: 0, targetModules: ['q_proj', 'o_proj', 'down_proj'] };
const batch = packed(golden.sequences);
const M = batch.rows.length;

/** The numbers of the script. */
function numbers(name: string, length: number): Float32Array {
  const scale = name.includes('embed') ? 1 : 0.15;
  const key = [...name].reduce((sum, letter) => sum + letter.charCodeAt(0), 0);
  return Float32Array.from({ length }, (_, i) => (name.includes('norm') ? 1 : (((i * i * 31 + i * 7919 + key * 1237) % 16381) - 8190) / 8190) * (name.includes('norm') ? 1 : scale));
}

const { vocab_size: V, hidden_size: C, intermediate_size: F } = golden.config as Record<string, number>;
const KD = C! / 2;
const shapes = new Map<string, number[]>([['model.embed_tokens.weight', [V!, C!]], ['model.norm.weight', [C!]]]);
for (const layer of [0, 1]) {
  const parts = {
    'input_layernorm': [C!], 'post_attention_layernorm': [C!], 'self_attn.q_proj': [C!, C!], 'self_attn.k_proj': [KD, C!], 'self_attn.v_proj': [KD, C!],
    'self_attn.o_proj': [C!, C!], 'mlp.gate_proj': [F!, C!], 'mlp.up_proj': [F!, C!], 'mlp.down_proj': [C!, F!],
  };
  for (const [part, shape] of Object.entries(parts)) shapes.set(`model.layers.${layer}.${part}.weight`, shape);
}
const lengthOf = (name: string): number => shapes.get(name)!.reduce((a, b) => a * b, 1);

/** Of the drawn numbers, or of what `read` makes of them. */
const folder = (read = (_name: string, values: Float32Array) => values): TensorFolder => ({
  folder: 'tiny', config: { ...golden.config, architectures: ['LlamaForCausalLM'], model_type: 'llama' },
  tensors: new Map([...shapes].map(([name, shape]) => [name, { shape, file: 'tiny', dtype: 'F32' }])),
  read: async (name) => read(name, numbers(name, lengthOf(name))),
});

async function load(device: Device, storage: WeightStorage, from = folder()): Promise<LanguageModel> {
  const model = await loadLanguageModel(device, from, { storage, trainable: 'lora', lora });
  for (const { name, tensor } of model.parameters) device.write(tensor, numbers(name, tensor.length));
  return model;
}

async function lossAndGradients(model: LanguageModel): Promise<{ loss: number; logprobs: Float32Array; all: Map<string, Float32Array> }> {
  model.zeroGrad();
  const forward = await model.forward(batch, { gradient: true });
  model.backward(forward, new Float32Array(M).fill(-1 / M));
  return { loss: -forward.logprobs.reduce((sum, x) => sum + x, 0) / M, logprobs: forward.logprobs, all: await gradients(model) };
}

describe.each(KINDS)('a base in %s', (storage) => {
  test.each([['reference', createReferenceDevice], ['native', () => createNativeDevice(2)], ['emulated cuda', () => createCudaDevice('cuda', emulated)]])('has the loss and adapter gradients of torch on the dequantised weights, on the %s device', async (_, create) => {
    const { loss, all } = await lossAndGradients(await load(create(), storage));
    expect(Math.abs(loss / golden[storage].loss - 1)).toBeLessThan(1e-5);
    const sorted = [...all].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([, values]) => [...values]);
    const want = new Float32Array(Uint8Array.from(Buffer.from(golden[storage].gradients, 'base64')).buffer);
    expect(relativeError(sorted, want)).toBeLessThan(1e-4);
  });

  test('has gradients that are those of central differences', async () => {
    const device = createReferenceDevice(Float64Array);
    const model = await load(device, storage);
    const { all } = await lossAndGradients(model);
    const loss = async (): Promise<number> => -(await model.forward(batch)).logprobs.reduce((sum, x) => sum + x, 0) / M;
    for (const { name, tensor } of model.parameters.filter((_, i) => i % 3 === 0)) {
      const data = (tensor as ReferenceTensor).data as Float64Array;
      const analytic = all.get(name)!;
      const i = analytic.reduce((best, value, at) => (Math.abs(value) > Math.abs(analytic[best]!) ? at : best), 0);
      const [kept, h] = [data[i]!, 1e-2];
      const at = async (x: number): Promise<number> => {
        data[i] = x;
        return loss();
      };
      // log-probs come as f32: a wide step, of fourth order
      const numeric = ((await at(kept - 2 * h)) - 8 * (await at(kept - h)) + 8 * (await at(kept + h)) - (await at(kept + 2 * h))) / (12 * h);
      data[i] = kept;
      expect(Math.abs(numeric / analytic[i]! - 1), `${name}[${i}]`).toBeLessThan(1e-3);
    }
  });

  test('has the bits of the same numbers in f32, with one thread and two', async () => {
    const config = (await load(createReferenceDevice(), 'f32')).config;
    const dense = folder((name, values) => {
      const kept = keptStorage(config, name, shapes.get(name)!, 'F32', storage);
      return kept === 'q8_0' ? values : asKept(values, kept);
    });
    const results = [
      await lossAndGradients(await load(createNativeDevice(1), 'f32', dense)),
      await lossAndGradients(await load(createNativeDevice(1), storage)),
      await lossAndGradients(await load(createNativeDevice(2), storage)),
    ].map(({ logprobs, all }) => Buffer.concat([logprobs, ...all.values()].map(({ buffer }) => Buffer.from(buffer))).toString('hex'));
    expect(results[1] === results[0]).toBe(true);
    expect(results[2] === results[0]).toBe(true);
  });

  test('decodes as it trains', async () => {
    const model = await load(createNativeDevice(2), storage);
    const cache = model.createCache(16);
    const decoded = await model.decode(cache, [{ sequence: cache.open(16), tokens: golden.sequences[0]! }]);
    const whole = packed([golden.sequences[0]!]);
    const logits = await model.logits({ ...whole, rows: Int32Array.of(golden.sequences[0]!.length - 1) });
    expect(relativeError(decoded, logits)).toBeLessThan(1e-5);
  });

  test('takes the memory of its blocks', async () => {
    const [device, wide] = [createNativeDevice(1), createNativeDevice(1)];
    const model = await load(device, storage);
    await load(wide, 'f32');
    const inBlocks = [...model.frozen.values()].filter(({ tensor }) => tensor.storage === storage);
    const saved = inBlocks.reduce((sum, { tensor: { length } }) => sum + 4 * length - storageBytes(storage, length), 0);
    expect(wide.memory().bytes - device.memory().bytes).toBe(saved);
    const matrices = [...model.frozen.values()].filter(({ name, shape }) => shape.length > 1 && name.includes('layers'));
    expect(matrices.every(({ tensor }) => tensor.storage === storage)).toBe(true);
    expect(model.frozen.get('model.embed_tokens.weight')!.tensor.storage).toBe(storage === 'int8' ? 'int8' : 'f32');
    await expect(model.tensors({ merge: false }).find(({ name }) => name.endsWith('q_proj.weight'))!.read()).rejects.toThrow(new RegExp(storage));
  });

  test('is for frozen weights', async () => {
    await expect(loadLanguageModel(createReferenceDevice(), folder(), { storage, trainable: 'all' })).rejects.toThrow(`storage ${storage} is for frozen weights`);
  });
});
