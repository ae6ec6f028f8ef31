import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openModelFolder, writeModelFolder } from './model-folder.ts';
import { writeSafetensors, type TensorSource } from './safetensors.ts';

const assets = resolve(import.meta.dirname, '../../../../shared/assets');
let root: string;
let folder: string;
let count = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'attune-folder-'));
});
afterAll(() => rm(root, { recursive: true }));
beforeEach(async () => {
  folder = join(root, String(count++));
  await mkdir(folder);
});

const tensor = (name: string, ...values: number[]): TensorSource => ({
  name,
  shape: [values.length],
  dtype: 'F32',
  read: () => Promise.resolve(Float32Array.from(values)),
});
const write = (name: string, value: unknown) => writeFile(join(folder, name), typeof value === 'string' ? value : JSON.stringify(value));

describe('opening', () => {
  it('reads one file', async () => {
    await write('config.json', { model_type: 'llama' });
    await writeSafetensors(join(folder, 'model.safetensors'), [tensor('a', 1, 2)]);
    const model = await openModelFolder(folder);
    expect(model.config).toEqual({ model_type: 'llama' });
    expect(model.generationConfig).toBeNull();
    expect([...(await model.read('a'))]).toEqual([1, 2]);
    await expect(model.read('b')).rejects.toThrow('have no tensor b');
    await model.close();
  });

  it('leaves the buffers of old files out, whatever their type: GPT-NeoX has masks of booleans in its weights', async () => {
    await write('config.json', {});
    const header = JSON.stringify({
      'gpt_neox.layers.0.attention.bias': { dtype: 'BOOL', shape: [1, 1, 2, 2], data_offsets: [8, 12] },
      'gpt_neox.layers.0.attention.masked_bias': { dtype: 'F16', shape: [], data_offsets: [12, 14] },
      'gpt_neox.layers.0.attention.dense.bias': { dtype: 'F32', shape: [1], data_offsets: [0, 4] },
      'gpt_neox.layers.0.attention.rotary_emb.inv_freq': { dtype: 'F32', shape: [1], data_offsets: [4, 8] },
    });
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    await writeFile(join(folder, 'model.safetensors'), Buffer.concat([length, Buffer.from(header), Buffer.alloc(14)]));
    const model = await openModelFolder(folder);
    expect([...model.tensors.keys()]).toEqual(['gpt_neox.layers.0.attention.dense.bias']);
    await model.close();
  });

  it('reads the shards that a large model is written in', async () => {
    const out = join(folder, 'large');
    const tensors = [tensor('a', 1, 2), tensor('b', 3), tensor('c', 4), tensor('large', 5, 6, 7, 8), tensor('d', 9)];
    const files = await writeModelFolder(out, { config: { model_type: 'llama' }, generationConfig: null, tensors }, 12); // three floats to a shard
    expect(files.map(({ name }) => name)).toEqual([
      ...[1, 2, 3, 4].map((n) => `model-0000${n}-of-00004.safetensors`), 'config.json', 'model.safetensors.index.json',
    ]);
    expect(JSON.parse(await readFile(join(out, 'model.safetensors.index.json'), 'utf8'))).toMatchObject({ metadata: { total_size: 36 }, weight_map: { b: 'model-00001-of-00004.safetensors', c: 'model-00002-of-00004.safetensors', d: 'model-00004-of-00004.safetensors' } });
    const model = await openModelFolder(out);
    for (const { name, read } of tensors) expect(await model.read(name)).toEqual(await read());
    await model.close();
  });

  it('reads shards, and refuses ones that do not fit their index', async () => {
    await write('config.json', {});
    await write('generation_config.json', { eos_token_id: 2 });
    await writeSafetensors(join(folder, 'model-00001-of-00002.safetensors'), [tensor('a', 1)]);
    await writeSafetensors(join(folder, 'model-00002-of-00002.safetensors'), [tensor('b', 2), tensor('c', 3)]);
    const map: Record<string, unknown> = {
      a: 'model-00001-of-00002.safetensors',
      b: 'model-00002-of-00002.safetensors',
      c: 'model-00002-of-00002.safetensors',
    };
    const index = (weights: unknown) => write('model.safetensors.index.json', { metadata: {}, weight_map: weights });
    await index(map);
    const model = await openModelFolder(folder);
    expect([...model.tensors.keys()]).toEqual(['a', 'b', 'c']);
    expect(model.tensors.get('c')!.file).toContain('model-00002-of-00002');
    expect([...(await model.read('c'))]).toEqual([3]);
    expect(model.generationConfig).toEqual({ eos_token_id: 2 });
    await model.close();

    await index({ ...map, c: 'model-00001-of-00002.safetensors' });
    await expect(openModelFolder(folder)).rejects.toThrow('tensor c should be in model-00001-of-00002.safetensors but is not');
    await index({ a: map.a, b: map.b });
    await expect(openModelFolder(folder)).rejects.toThrow('tensor c is not in model.safetensors.index.json');
    await index({ ...map, d: 'model-00003-of-00003.safetensors' });
    await expect(openModelFolder(folder)).rejects.toThrow('model-00003-of-00003.safetensors is missing');
    await index({ ...map, d: '../x.safetensors' });
    await expect(openModelFolder(folder)).rejects.toThrow('expected a .safetensors file of this folder');
    await index(undefined);
    await expect(openModelFolder(folder)).rejects.toThrow('weight_map is missing');
  });

  it('refuses what is not a model folder, saying what to do', async () => {
    await expect(openModelFolder(join(root, 'none'))).rejects.toThrow('there is no folder');
    await expect(openModelFolder(folder)).rejects.toThrow('config.json; a model folder needs this file');
    await write('config.json', '{"hidden_size": 8,');
    await expect(openModelFolder(folder)).rejects.toThrow(/config\.json is not valid JSON/);
    await expect(openModelFolder(join(folder, 'config.json'))).rejects.toThrow('is a file; name the folder');
    await write('config.json', '[]');
    await expect(openModelFolder(folder)).rejects.toThrow('config.json is JSON but not an object');
    await write('config.json', {});
    await expect(openModelFolder(folder)).rejects.toThrow('has no weights: expected model.safetensors');
    await rm(join(folder, 'config.json'));
    await write('adapter_config.json', {});
    await expect(openModelFolder(folder)).rejects.toThrow('is a PEFT adapter, not a model');
  });

  it('refuses pickles with the reason', async () => {
    await write('config.json', {});
    for (const name of ['pytorch_model.bin', 'model.pt', 'consolidated.00.pth', 'weights.pkl']) {
      await write(name, '');
      await expect(openModelFolder(folder)).rejects.toThrow(
        new RegExp(`${name} is a pickle, .*run any code.*convert the weights to model.safetensors`),
      );
      await rm(join(folder, name));
    }
  });
});

describe('writing', () => {
  it('writes weights and configs and carries the tokenizer along', async () => {
    for (const name of [
      'tokenizer.json',
      'tokenizer_config.json',
      'special_tokens_map.json',
      'chat_template.jinja',
      'README.md',
      'optimizer.bin',
    ])
      await write(name, name);
    const out = join(root, 'written', 'deep');
    const files = await writeModelFolder(out, {
      config: { a: 1 },
      generationConfig: { b: 2 },
      tensors: [tensor('w', 1)],
      copyFrom: folder,
    });
    const expected = [
      'chat_template.jinja',
      'config.json',
      'generation_config.json',
      'model.safetensors',
      'special_tokens_map.json',
      'tokenizer.json',
      'tokenizer_config.json',
    ];
    expect((await readdir(out)).sort()).toEqual(expected);
    expect(files.map((f) => f.name).sort()).toEqual(expected);
    expect(await readFile(join(out, 'config.json'), 'utf8')).toBe('{\n  "a": 1\n}\n');
    const model = await openModelFolder(out);
    expect([...(await model.read('w'))]).toEqual([1]);
    await model.close();
    expect(await readdir(join(root, 'written'))).toEqual(['deep']);
  });

  it('leaves nothing behind when a tensor fails, and what was there stays', async () => {
    const bad: TensorSource = { name: 'z', shape: [1], dtype: 'F32', read: () => Promise.reject(new Error('broken source')) };
    const out = join(folder, 'out');
    await expect(writeModelFolder(out, { config: {}, generationConfig: null, tensors: [tensor('a', 1), bad] })).rejects.toThrow(
      'broken source',
    );
    expect(await readdir(folder)).toEqual([]);
    const short = { ...bad, read: () => Promise.resolve(new Float32Array(2)) };
    await expect(writeModelFolder(out, { config: {}, generationConfig: null, tensors: [short] })).rejects.toThrow(
      `cannot write ${join(out, 'model.safetensors')}: tensor z has 2`,
    );
    expect(await readdir(folder)).toEqual([]);
    await writeModelFolder(out, { config: { good: true }, generationConfig: null, tensors: [tensor('a', 1)] });
    await writeFile(join(out, 'README.md'), 'mine');
    await expect(writeModelFolder(out, { config: {}, generationConfig: null, tensors: [bad] })).rejects.toThrow('broken source');
    expect(JSON.parse(await readFile(join(out, 'config.json'), 'utf8'))).toEqual({ good: true });
    expect(await readdir(folder)).toEqual(['out']);
    expect(await readdir(out)).toContain('README.md');
  });

  it('says when a file is in the way', async () => {
    await write('taken', 'a file');
    await expect(writeModelFolder(join(folder, 'taken'), { config: {}, generationConfig: null, tensors: [] })).rejects.toThrow(
      /cannot write .*taken: a file of that name/,
    );
    expect(await readdir(folder)).toEqual(['taken']);
  });
});

describe.skipIf(!existsSync(assets))('real models (skipped where ../shared/assets is absent)', () => {
  it('gives the values another implementation reads', async () => {
    const { values } = JSON.parse(await readFile(join(assets, 'models/expected/param_values.json'), 'utf8')) as {
      values: { param: string; layer: number | null; flat_index: number; value: number }[];
    };
    const names: Record<string, string> = {
      embedding_table: 'lm_head.weight',
      rms_att_w: 'input_layernorm',
      rms_ffn_w: 'post_attention_layernorm',
      rms_out_w: 'model.norm.weight',
      w_down: 'mlp.down_proj',
      w_up: 'mlp.up_proj',
      w_gate: 'mlp.gate_proj',
      wq: 'self_attn.q_proj',
      wk: 'self_attn.k_proj',
      wv: 'self_attn.v_proj',
      wo: 'self_attn.o_proj',
    };
    for (const folderName of ['TinyStories-656K-hf', 'TinyStories-656K-hf-bf16']) {
      const model = await openModelFolder(join(assets, 'models', folderName));
      for (const { param, layer, flat_index, value } of values) {
        let name = layer === null ? names[param] : `model.layers.${layer}.${names[param]}.weight`;
        if (!model.tensors.has(name)) name = 'model.embed_tokens.weight';
        expect((await model.read(name))[flat_index], `${folderName} ${name}`).toBeCloseTo(value, 6);
      }
      await model.close();
    }
  });

  it('refuses a real config that is not JSON, and a real model cut short', async () => {
    await copyFile(join(assets, 'malformed/hf2q/bad_config.json'), join(folder, 'config.json'));
    await expect(openModelFolder(folder)).rejects.toThrow(/config\.json is not valid JSON/);
    await write('config.json', {});
    const whole = await readFile(join(assets, 'models/TinyStories-656K-hf/model.safetensors'));
    await writeFile(join(folder, 'model.safetensors'), whole.subarray(0, 2_000_000));
    await expect(openModelFolder(folder)).rejects.toThrow(
      /tensor model\.\S+ says bytes \d+\.\.\d+ but the file ends at 2000000: it is truncated; download it again/,
    );
  });
});
