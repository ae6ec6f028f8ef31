/** A GGUF file somebody else wrote, a tensor of every quantised type in it, as a model: fixtures/gguf (fixtures/README.md). */
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createReferenceDevice } from '../device/reference.ts';
import { describe as describeFolders } from '../jobs/describe.ts';
import { loadLanguageModel } from '../model/language-model.ts';
import { packed, relativeError } from '../model/testing.ts';
import { createRandom } from '../random.ts';
import { loadTokenizer } from '../tokenizer/tokenizer.ts';
import { openModelFolder, writeModelFolder } from './model-folder.ts';

const path = resolve(import.meta.dirname, '../../../fixtures/gguf/mixed.gguf');
let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'attune-gguf-'))));
afterAll(() => rm(folder, { recursive: true }));

test('answers as transformers does, which reads the same file', async () => {
  const { inputIds, logits } = JSON.parse(await readFile(join(path, '../expected.json'), 'utf8')) as { inputIds: number[]; logits: number[] };
  const opened = await openModelFolder(path);
  expect(new Set([...opened.tensors.values()].map(({ dtype }) => dtype))).toEqual(new Set(['F32', 'Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0', 'Q4_K', 'Q5_K', 'Q6_K']));
  const model = await loadLanguageModel(createReferenceDevice(), opened, { storage: 'f32', trainable: 'none' });
  await opened.close();
  const got = await model.logits({ ...packed([inputIds]), rows: Int32Array.from(inputIds, (_, i) => i) });
  expect(relativeError(got, logits)).toBeLessThan(1e-5);
  model.free();
});

test('says of itself what a folder says, and saves as a folder with the same tokenizer', async () => {
  expect(await describeFolders([path])).toMatchObject([{ family: 'llama', layers: 1, hiddenSize: 256, vocabularySize: 128, contextLength: 64, hasChatTemplate: true, problem: null }]);
  const opened = await openModelFolder(path);
  const out = join(folder, 'saved');
  const tensors = [...opened.tensors.values()].map(({ shape }, i) => ({ name: [...opened.tensors.keys()][i]!, shape, dtype: 'F32' as const, read: () => opened.read([...opened.tensors.keys()][i]!) }));
  await writeModelFolder(out, { config: opened.config, generationConfig: opened.generationConfig, tensors, copyFrom: path });
  const [back, own] = [await loadTokenizer(out), await loadTokenizer(path)];
  const text = 'the cat\n<|im_start|> sat';
  expect(back.encode(text)).toEqual(own.encode(text));
  expect(back).toMatchObject({ eosIds: own.eosIds, bosId: 0, chatTemplate: own.chatTemplate });
  const saved = await openModelFolder(out);
  for (const name of opened.tensors.keys()) expect(await saved.read(name)).toEqual(await opened.read(name));
  await Promise.all([opened.close(), saved.close()]);
});

test('takes 100 random mutations of its header with an error that names the file, or opens', async () => {
  const whole = await readFile(path);
  const random = createRandom(11);
  const broken = join(folder, 'broken.gguf');
  for (let round = 0; round < 100; round++) {
    const bytes = Buffer.from(whole);
    for (let n = 1 + random.int(3); n > 0; n--) bytes[random.int(5000)] = random.int(256);
    await writeFile(broken, round % 8 === 0 ? bytes.subarray(0, random.int(9000)) : bytes);
    try {
      await (await openModelFolder(broken)).close();
      await loadTokenizer(broken);
    } catch (error) {
      expect((error as Error).message).toContain('broken.gguf');
    }
  }
  await copyFile(path, broken);
  await (await openModelFolder(broken)).close();
});
