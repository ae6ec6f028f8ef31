/** Weights that stay in their file: same bits as copied ones, nothing allocated, and what happens when the file changes. */
import { existsSync, readFileSync } from 'node:fs';
import { cp, mkdtemp, open, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../device/device.ts';
import { createNativeDevice } from '../device/native.ts';
import { openModelFolder, writeModelFolder } from '../formats/model-folder.ts';
import type { TensorSource } from '../formats/safetensors.ts';
import { loadLanguageModel, type LanguageModel, type LoadOptions } from './language-model.ts';
import { packed } from './testing.ts';

const fixture = fileURLToPath(new URL('../../../fixtures/models/llama', import.meta.url));
let root: string;
beforeAll(async () => void (root = await mkdtemp(join(tmpdir(), 'attune-mapping-'))));
afterAll(() => rm(root, { recursive: true }));

/** A copy of the fixture's folder whose weights are of that type. */
async function folderOf(name: string, dtype: 'F32' | 'BF16'): Promise<string> {
  const opened = await openModelFolder(fixture);
  const tensors = [...opened.tensors.values()].map(({ name: tensor, shape }): TensorSource => ({ name: tensor, shape, dtype, read: () => opened.read(tensor) }));
  await writeModelFolder(join(root, name), { config: opened.config, generationConfig: null, tensors });
  await opened.close();
  return join(root, name);
}

async function load(device: Device, folder: string, options: Partial<LoadOptions> & Pick<LoadOptions, 'storage'>): Promise<LanguageModel> {
  const opened = await openModelFolder(folder);
  try {
    return await loadLanguageModel(device, opened, { trainable: 'none', ...options });
  } finally {
    await opened.close();
  }
}

/** The same device, but every weight is copied. */
function copying(): Device {
  const device = createNativeDevice(2);
  delete device.adopt;
  return device;
}

const LORA = { r: 2, loraAlpha: 4, loraDropout: 0, targetModules: ['q_proj', 'down_proj'] };
const batch = packed([[1, 2, 3, 4, 5], [7, 8, 9]]);

describe.skipIf(process.platform === 'win32')('weights in their file (Windows copies them)', () => {
  test.each([['F32', 'f32'], ['BF16', 'bf16']] as const)('give the bits of copied ones, %s, forward and backward, and take no memory', async (dtype, storage) => {
    const folder = await folderOf(`same-${dtype}`, dtype);
    const [inFile, copied] = [createNativeDevice(2), copying()];
    const made: { logits: Float32Array; grad: unknown; bytes: number }[] = [];
    for (const device of [inFile, copied]) {
      const model = await load(device, folder, { storage, trainable: 'lora', lora: LORA, seed: 3 });
      const { bytes } = device.memory();
      const logits = await model.logits(batch);
      const forward = await model.forward(batch, { gradient: true });
      model.backward(forward, new Float32Array(batch.rows.length).fill(1));
      made.push({ logits, grad: await Promise.all(model.parameters.map(({ grad }) => device.read(grad!))), bytes });
      model.free();
    }
    expect(made[0]!.logits).toEqual(made[1]!.logits);
    expect(made[0]!.grad).toEqual(made[1]!.grad);
    // all that is left to hold are the adapter and rotary tables, and of BF16 the norms, which are kept in f32
    expect(made[1]!.bytes - made[0]!.bytes).toBeGreaterThan(40_000);
  });

  test('are let go with the model', async () => {
    const folder = await folderOf('let-go', 'F32');
    const model = await load(createNativeDevice(1), folder, { storage: 'f32' });
    const isMapped = () => readFileSync('/proc/self/maps', 'utf8').includes(folder);
    if (existsSync('/proc/self/maps')) expect(isMapped()).toBe(true);
    model.free();
    if (existsSync('/proc/self/maps')) expect(isMapped()).toBe(false);
  });

  test('are never trained or written: those are copies', async () => {
    const folder = await folderOf('trained', 'F32');
    const device = createNativeDevice(1);
    const model = await load(device, folder, { storage: 'f32', trainable: 'all' });
    const before = readFileSync(join(folder, 'model.safetensors'));
    for (const { tensor } of model.parameters) device.fill(tensor, 0, tensor.length);
    expect(readFileSync(join(folder, 'model.safetensors'))).toEqual(before);
    const frozen = await load(device, folder, { storage: 'f32' });
    const { tensor } = frozen.frozen.get('model.norm.weight')!;
    expect(() => device.write(tensor, new Float32Array(1))).toThrow(/lies in a model's file and is never written/);
  });

  test('stay what they were when the file is replaced, and are refused when it was cut short', async () => {
    const folder = await folderOf('replaced', 'F32');
    const path = join(folder, 'model.safetensors');
    const device = createNativeDevice(1);
    const model = await load(device, folder, { storage: 'f32' });
    const before = await model.logits(batch);
    await writeFile(`${path}.new`, 'nothing of the kind');
    await rename(`${path}.new`, path);
    expect(await model.logits(batch)).toEqual(before);

    const other = await folderOf('cut', 'F32');
    const opened = await openModelFolder(other);
    await truncate(join(other, 'model.safetensors'), 50_000);
    await expect(loadLanguageModel(device, opened, { storage: 'f32', trainable: 'none' })).rejects.toThrow(/model.safetensors: tensor .* became shorter after it was opened; leave it alone/);
    await opened.close();
  });

  test('of 6 GB are there at once: nothing is copied until it is used', async () => {
    const folder = join(root, 'large');
    await cp(fixture, folder, { recursive: true });
    const config = JSON.parse(readFileSync(join(fixture, 'config.json'), 'utf8')) as Record<string, number>;
    // 6.0 GB of bf16 in 28 layers; the file is a hole but for its header
    const large = { ...config, vocab_size: 128_000, hidden_size: 2560, intermediate_size: 10_240, num_hidden_layers: 28, num_attention_heads: 20, num_key_value_heads: 20, head_dim: 128 };
    await writeFile(join(folder, 'config.json'), JSON.stringify(large));
    await writeHole(join(folder, 'model.safetensors'), large);
    const device = createNativeDevice(1);
    const before = process.memoryUsage().rss;
    const model = await load(device, folder, { storage: 'bf16' });
    const bytes = [...model.frozen.values()].reduce((sum, { tensor }) => sum + tensor.length * 2, 0);
    expect(bytes).toBeGreaterThan(6e9);
    expect(device.memory().bytes).toBeLessThan(20e6); // norms in f32, and the rotary table
    expect(process.memoryUsage().rss - before).toBeLessThan(1e9);
    model.free();
  });
});

/** A llama's BF16 tensors as a sparse file. */
async function writeHole(path: string, config: Record<string, number>): Promise<void> {
  const { vocab_size: V, hidden_size: C, intermediate_size: F, num_hidden_layers: L } = config;
  const shapes: [string, number[]][] = [['model.embed_tokens', [V, C]], ['lm_head', [V, C]], ['model.norm', [C]]];
  for (let layer = 0; layer < L; layer++) {
    const at = `model.layers.${layer}`;
    for (const name of ['q', 'k', 'v', 'o']) shapes.push([`${at}.self_attn.${name}_proj`, [C, C]]);
    shapes.push([`${at}.mlp.gate_proj`, [F, C]], [`${at}.mlp.up_proj`, [F, C]], [`${at}.mlp.down_proj`, [C, F]]);
    shapes.push([`${at}.input_layernorm`, [C]], [`${at}.post_attention_layernorm`, [C]]);
  }
  let end = 0;
  const header = Object.fromEntries(shapes.map(([name, shape]) => {
    const begin = end;
    end += 2 * shape.reduce((a, b) => a * b, 1);
    return [`${name}.weight`, { dtype: 'BF16', shape, data_offsets: [begin, end] }];
  }));
  const text = JSON.stringify(header);
  const json = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const file = await open(path, 'w');
  await file.write(Buffer.concat([length, json]));
  await file.truncate(8 + json.length + end);
  await file.close();
}
