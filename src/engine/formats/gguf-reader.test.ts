/** What the GGUF writer wrote comes back: config, every tensor in its type's precision, and a model that answers as the one it was made from. */
import { cp, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packSequences } from '../data/pack.ts';
import { createReferenceDevice } from '../device/reference.ts';
import { parseModelConfig } from '../model/config.ts';
import { loadLanguageModel } from '../model/language-model.ts';
import { fromBf16, fromF16, toBf16, toF16 } from './float.ts';
import type { GgufType } from './gguf-layout.ts';
import { openGguf } from './gguf-reader.ts';
import { writeGguf } from './gguf.ts';
import { openModelFolder } from './model-folder.ts';
import { dequantizeQ80, quantizeQ80 } from './q8-0.ts';

const FIXTURES = fileURLToPath(new URL('../../../fixtures/models', import.meta.url));
const FAMILIES = ['llama', 'llama-tied', 'qwen2', 'qwen3'];
const TYPES: GgufType[] = ['f32', 'f16', 'bf16', 'q8_0'];
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'attune-gguf-reader-'));
});
afterAll(() => rm(root, { recursive: true }));

async function exported(family: string, type: GgufType): Promise<string> {
  const folder = await openModelFolder(join(FIXTURES, family));
  const path = join(root, `${family}-${type}.gguf`);
  const tensors = [...folder.tensors.values()].map(({ name, shape }) => ({ name, shape, dtype: 'F32' as const, read: () => folder.read(name) }));
  // the fixtures share one vocabulary
  await writeGguf(path, { config: folder.config, tokenizerFolder: join(FIXTURES, 'llama'), about: { name: family, baseName: family, parameters: 1 }, type, tensors });
  await folder.close();
  return path;
}

/** What a type leaves of values. */
function rounded(values: Float32Array, type: GgufType, shape: number[]): Float32Array {
  if (type === 'f32' || shape.length < 2) return values;
  if (type === 'bf16') return fromBf16(toBf16(values));
  if (type === 'q8_0' && shape[1] % 32 === 0) return dequantizeQ80(quantizeQ80(values));
  return fromF16(toF16(values));
}

describe.each(FAMILIES)('%s', (family) => {
  it.each(TYPES)('comes back from %s: every tensor, as precise as the type is', async (type) => {
    const source = await openModelFolder(join(FIXTURES, family));
    const file = await openGguf(await exported(family, type), source.config);
    const tied = source.config.tie_word_embeddings === true;
    const names = [...source.tensors.keys()].filter((name) => !(tied && name === 'lm_head.weight'));
    expect([...file.tensors.keys()].sort()).toEqual(names.sort());
    for (const name of names) {
      const { shape } = source.tensors.get(name)!;
      expect(file.tensors.get(name)!.shape).toEqual(shape);
      expect(await file.read(name), name).toEqual(rounded(await source.read(name), type, shape));
    }
    await Promise.all([file.close(), source.close()]);
  });

  it('comes back as the same architecture, and in f32 answers to the same bits', async () => {
    const source = await openModelFolder(join(FIXTURES, family));
    const file = await openGguf(await exported(family, 'f32'), source.config);
    const wanted = parseModelConfig(source.config, 'config.json');
    const { normEps, ...rest } = parseModelConfig(file.config, 'gguf');
    expect(rest).toEqual({ ...rest, ...wanted, normEps: undefined, initializerRange: rest.initializerRange });
    expect(normEps).toBe(Math.fround(wanted.normEps)); // GGUF keeps it as f32, and so do the kernels
    const device = createReferenceDevice();
    const batch = packSequences([{ tokens: Int32Array.of(5, 17, 40, 41, 9, 77, 3), loss: new Uint8Array(7).fill(1) }]);
    const [a, b] = [await loadLanguageModel(device, source, { storage: 'f32', trainable: 'none' }), await loadLanguageModel(device, file, { storage: 'f32', trainable: 'none' })];
    expect((await b.forward(batch)).logprobs).toEqual((await a.forward(batch)).logprobs);
    await Promise.all([file.close(), source.close()]);
  });
});

describe('a file that is not right', () => {
  it('is refused with what is wrong and where', async () => {
    const good = await exported('llama', 'f16');
    const copy = async (name: string, change: (path: string) => Promise<void>): Promise<string> => {
      const path = join(root, name);
      await cp(good, path);
      await change(path);
      return path;
    };
    const patch = (at: number, bytes: number[]) => async (path: string) => {
      const all = await readFile(path);
      all.set(bytes, at);
      await writeFile(path, all);
    };
    await expect(openGguf(join(root, 'none.gguf'))).rejects.toThrow(/none\.gguf: the GGUF file cannot be read \(ENOENT\)/);
    await expect(openGguf(await copy('magic.gguf', patch(0, [0x47, 0x47, 0x4d, 0x4c])))).rejects.toThrow(/does not begin with GGUF/);
    await expect(openGguf(await copy('version.gguf', patch(4, [9])))).rejects.toThrow(/GGUF version 9 is not read/);
    await expect(openGguf(await copy('count.gguf', patch(8, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff])))).rejects.toThrow(/counts \d+ of something/);
    await expect(openGguf(await copy('head.gguf', (path) => truncate(path, 200)))).rejects.toThrow(/header ends in the middle/);
    await expect(openGguf(await copy('cut.gguf', async (path) => truncate(path, (await readFile(path)).length - 5000)))).rejects.toThrow(/would end after the file does/);
  });

  it('is refused when its rope scaling is not the source model’s', async () => {
    const folder = await openModelFolder(join(FIXTURES, 'llama')); // its rope scaling is Llama 3.1's, with factor 8
    const path = await exported('llama', 'f32');
    const other = { ...folder.config, rope_parameters: { ...(folder.config.rope_parameters as object), factor: 3 } };
    await expect(openGguf(path, other)).rejects.toThrow(/rope_freqs\.weight is not what the source model's rope scaling \(llama3\) comes to/);
    await folder.close();
  });
});
