/**
 * Files that lie: config, index, adapter, tokenizer and GGUF headers with parts put in place of others, huge counts, cut ends, keys given
 * twice and bytes that are no text. Whatever comes, a file is read, or refused with an error that names it; nothing hangs, crashes or takes
 * memory by a number it says. The same changes every time. (Safetensors' own are in safetensors.test.ts.)
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { parseModelConfig } from '../model/config.ts';
import { readScoreHead } from '../model/heads.ts';
import { checkTensors } from '../model/parameters.ts';
import { createRandom, type Random } from '../random.ts';
import { loadTokenizer } from '../tokenizer/tokenizer.ts';
import { openModelFolder } from './model-folder.ts';
import { readAdapter } from './peft.ts';

const fixtures = resolve(import.meta.dirname, '../../../fixtures');
const root = mkdtempSync(join(tmpdir(), 'attune-fuzz-'));
afterAll(() => rmSync(root, { recursive: true }));

const deep = (): unknown => {
  let value: unknown = 1;
  for (let i = 0; i < 3000; i++) value = [value];
  return value;
};
const ODD: (() => unknown)[] = [
  () => null, () => true, () => -1, () => 0, () => 0.5, () => 1e12, () => 2 ** 53, () => 1e308, () => '', () => 'no such thing', () => '\u0000\uFFFD\uD800',
  () => [], () => ({}), () => [null], () => ({ '': null }), () => ['a', 1], () => Array(2000).fill('x'), () => Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`k${i}`, i])), deep,
];

type Node = Record<string, unknown> | unknown[];

/** Every object and list in a value, those deeper down included. */
function nodesOf(value: unknown, found: Node[] = []): Node[] {
  if (typeof value !== 'object' || value === null || found.length > 5000) return found;
  found.push(value as Node);
  for (const part of Object.values(value)) nodesOf(part, found);
  return found;
}

/** A JSON text with one to three things wrong. */
function spoil(text: string, random: Random): Buffer {
  const value = JSON.parse(text) as unknown;
  const pick = <T>(from: T[]): T => from[random.int(from.length)]!;
  for (let n = random.int(3); n >= 0; n--) {
    const node = pick(nodesOf(value).slice(0, 1 + random.int(200))) as Record<string, unknown>;
    const keys = Object.keys(node);
    if (keys.length === 0) continue;
    const key = pick(keys);
    if (random.int(4) === 0 && !Array.isArray(node)) delete node[key];
    else if (random.int(5) === 0) node[key] = node[pick(keys)];
    else node[key] = pick(ODD)();
  }
  const bytes = Buffer.from(JSON.stringify(value));
  const how = random.int(12);
  if (how === 0) return bytes.subarray(0, random.int(bytes.length));
  if (how === 1) bytes[random.int(bytes.length)] = random.int(256);
  if (how === 2) return Buffer.concat([bytes.subarray(0, -1), Buffer.from(`,${JSON.stringify(Object.keys(value as object)[0] ?? 'x')}:1}`)]);
  if (how === 3) return Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), bytes]);
  return bytes;
}

let place: string;
let count = 0;
beforeEach(() => {
  place = join(root, String(count++));
});

/** Spoils one file of the folder again and again. */
async function attack(source: string, file: string, rounds: number, read: (folder: string) => Promise<unknown>): Promise<number> {
  cpSync(join(fixtures, source), place, { recursive: true });
  const good = readFileSync(join(place, file), 'utf8');
  const random = createRandom(rounds + file.length);
  const before = process.memoryUsage().rss;
  let refused = 0;
  for (let round = 0; round < rounds; round++) {
    const bytes = spoil(good, random);
    writeFileSync(join(place, file), bytes);
    try {
      await read(place);
    } catch (error) {
      expect(error, bytes.toString().slice(0, 500)).toBeInstanceOf(Error);
      if (!(error as Error).message.includes(place)) throw new Error(`round ${round}: no file is named: ${(error as Error).stack}\n${bytes.toString().slice(0, 1500)}`, { cause: error });
      expect((error as Error).message.length).toBeLessThan(3000);
      refused++;
    }
  }
  expect(process.memoryUsage().rss - before).toBeLessThan(1.5e9);
  return refused;
}

async function openWhole(folder: string): Promise<void> {
  const opened = await openModelFolder(folder);
  try {
    checkTensors(parseModelConfig(opened.config, join(folder, 'config.json')), opened);
    readScoreHead(opened.config);
  } finally {
    await opened.close();
  }
}

/** Loads it and uses it: what is wrong with a text is told without the file. */
async function useTokenizer(folder: string): Promise<void> {
  const tokenizer = await loadTokenizer(folder);
  try {
    tokenizer.decode(tokenizer.encode('the cat\n sat 12 안녕 <|im_end|>'));
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
  }
}

describe('spoiled files are read or refused by name', () => {
  it.each(['models/llama', 'families/gemma3', 'families/phi3', 'families/gpt2', 'families/mixtral', 'families/qwen2-moe'])('config.json of %s', async (source) => {
    expect(await attack(source, 'config.json', 150, openWhole)).toBeGreaterThan(20);
  });

  it('config.json of an FP8 folder', async () => {
    expect(await attack('fp8/model', 'config.json', 150, openWhole)).toBeGreaterThan(10);
  });

  it.each(['peft/dora', 'peft/patterns'])('adapter_config.json of %s', async (source) => {
    expect(await attack(source, 'adapter_config.json', 150, readAdapter)).toBeGreaterThan(20);
  });

  it.each(['tokenizer.json', 'tokenizer_config.json'])('%s', async (file) => {
    await attack('models/llama', file, 150, useTokenizer);
  });

  it('an index of shards', async () => {
    cpSync(join(fixtures, 'models/llama'), `${place}-source`, { recursive: true });
    const opened = await openModelFolder(`${place}-source`);
    const map = Object.fromEntries([...opened.tensors.keys()].map((name) => [name, 'model-00001-of-00001.safetensors']));
    await opened.close();
    const folder = join(root, 'sharded');
    cpSync(`${place}-source`, folder, { recursive: true });
    cpSync(join(folder, 'model.safetensors'), join(folder, 'model-00001-of-00001.safetensors'));
    rmSync(join(folder, 'model.safetensors'));
    const text = JSON.stringify({ metadata: { total_size: 1 }, weight_map: map });
    const random = createRandom(9);
    for (let round = 0; round < 100; round++) {
      writeFileSync(join(folder, 'model.safetensors.index.json'), spoil(text, random));
      await openWhole(folder).catch((error: Error) => expect(error.message).toContain(folder));
    }
  });
});

const LIES = join(root, 'lies.gguf');
/** Opens these bytes as a model. */
async function openGguf(bytes: Buffer): Promise<void> {
  writeFileSync(LIES, bytes);
  const opened = await openModelFolder(LIES);
  await opened.close();
  checkTensors(parseModelConfig(opened.config, LIES), opened);
}

/** A GGUF file with up to four random changes before `end`, three hundred times. */
async function attackGguf(whole: Buffer, end: number): Promise<number> {
  const random = createRandom(5);
  const before = process.memoryUsage().rss;
  let refused = 0;
  for (let round = 0; round < 300; round++) {
    const bytes = Buffer.from(whole);
    for (let n = random.int(4); n >= 0; n--) {
      const at = random.int(end);
      if (random.int(3) === 0 && at + 8 < end) bytes.writeBigUInt64LE([0n, 1n, 2n ** 20n, 2n ** 32n, 2n ** 63n, 2n ** 64n - 1n][random.int(6)]!, at);
      else bytes[at] = random.int(256);
    }
    try {
      await openGguf(random.int(10) === 0 ? bytes.subarray(0, random.int(end)) : bytes);
      await loadTokenizer(LIES);
    } catch (error) {
      if (!(error as Error).message.includes('lies.gguf')) throw error;
      refused++;
    }
  }
  expect(process.memoryUsage().rss - before).toBeLessThan(1e9);
  return refused;
}

describe('a GGUF header that lies', () => {
  const whole = readFileSync(join(fixtures, 'gguf/mixed.gguf'));
  /** The file with one 64-bit number after a text put in place of another. */
  const patch = (after: string, skip: number, value: bigint): Buffer => {
    const bytes = Buffer.from(whole);
    bytes.writeBigUInt64LE(value, bytes.indexOf(after) + after.length + skip);
    return bytes;
  };

  it.each([
    ['counts more tensors than it can have', () => { const bytes = Buffer.from(whole); bytes.writeBigUInt64LE(2n ** 60n, 8); return bytes; }, /counts 1152921504606847000/],
    ['has a list no vocabulary has', () => patch('tokenizer.ggml.tokens', 8, 8n * 300_000n), /counts \d+ of something|ends in the middle|the most is/],
    ['begins a tensor where another lies', () => patch('output_norm.weight', 4 + 8 + 4, 0n), /tensor \S+ overlaps/],
    ['begins a tensor between two places', () => patch('output_norm.weight', 4 + 8 + 4, 4n), /begins at 4, no multiple of 32/],
    ['has a shape as large as the world', () => patch('output_norm.weight', 4, 2n ** 20n), /would end after the file does|counts/],
    ['has a name that is no text', () => { const bytes = Buffer.from(whole); bytes[bytes.indexOf('output_norm.weight')] = 0xff; return bytes; }, /the name of tensor \d+ of \d+ is not UTF-8 text/],
    ['has a token that is no text', () => { const bytes = Buffer.from(whole); bytes[bytes.indexOf('tokenizer.ggml.tokens') + 21 + 4 + 4 + 8 + 8] = 0xff; return bytes; }, /tokenizer.ggml.tokens, entry 0, is not UTF-8 text/],
    ['names a value twice', () => { const bytes = Buffer.from(whole); bytes.write('llama.embedding_length', bytes.indexOf('llama.feed_forward_length') + 0, 'latin1'); return bytes; }, /lies.gguf/],
  ])('%s', async (_, make, message) => {
    await expect(openGguf(make())).rejects.toThrow(message);
    await expect(openGguf(make())).rejects.toThrow(/lies\.gguf/);
  });

  it('with three hundred random changes is read or refused by name, in no more memory', async () => {
    expect(await attackGguf(whole, whole.indexOf('output_norm.weight') + 2000)).toBeGreaterThan(100);
  });
});

describe('a GGUF header of a mixture of experts that lies', () => {
  const split = readFileSync(join(fixtures, 'gguf-mixtures/mixtral.gguf'));
  const fused = readFileSync(join(fixtures, 'gguf-mixtures/qwen2moe.gguf'));
  /** The file with a 32-bit value of its metadata put in place of another. */
  const say = (whole: Buffer, key: string, value: number): Buffer => {
    const bytes = Buffer.from(whole);
    bytes.writeUInt32LE(value, bytes.indexOf(key) + key.length + 4);
    return bytes;
  };
  const rename = (whole: Buffer, from: string, to: string): Buffer => {
    const bytes = Buffer.from(whole);
    bytes.write(to, bytes.indexOf(from), 'latin1');
    return bytes;
  };

  it.each([
    ['says there are more experts than lie in its tensors', () => say(fused, 'qwen2moe.expert_count', 6), /tensor blk\.0\.ffn_\w+_exps\.weight has shape \[5, .*expert_count makes it a matrix for each of 6 experts/],
    ['says there are fewer', () => say(fused, 'qwen2moe.expert_count', 4), /has shape \[5, .*each of 4 experts/],
    ['says there are billions', () => say(fused, 'qwen2moe.expert_count', 2 ** 32 - 1), /there are 4294967295 experts in each of 2 layers; no model has more than 200000/],
    ['says there are none', () => say(fused, 'qwen2moe.expert_count', 0), /expert_count is 0; expected a number above 0/],
    ['says a token takes more than there are', () => say(fused, 'qwen2moe.expert_used_count', 9), /num_experts_per_tok \(9\) is more than the 5 experts there are/],
    ['says experts are wider than they are', () => say(fused, 'qwen2moe.expert_feed_forward_length', 64), /has shape \[32, 64\], but config\.json makes it \[64, 64\]/],
    ['says the shared one is', () => say(fused, 'qwen2moe.expert_shared_feed_forward_length', 2 ** 31), /shared_expert\.\w+\.weight has shape/],
    ['has a tensor an expert, one too many', () => say(split, 'llama.expert_count', 3), /tensor blk\.0\.ffn_\w+\.3\.weight has no counterpart/],
    ['has a tensor an expert, one too few', () => say(split, 'llama.expert_count', 5), /tensors are missing|has shape \[4, 64\]/],
    ['says it is dense', () => say(split, 'llama.expert_count', 0), /tensor blk\.\S+ has no counterpart/],
    ['names one expert twice', () => rename(split, 'ffn_gate.2.weight', 'ffn_gate.1.weight'), /tensor blk\.0\.ffn_gate\.1\.weight is there twice/],
  ])('%s', async (_, make, message) => {
    await expect(openGguf(make())).rejects.toThrow(message);
    await expect(openGguf(make())).rejects.toThrow(/lies\.gguf/);
  });

  it.each([['a tensor an expert', split], ['all in one', fused]])('with three hundred random changes is read or refused by name, in no more memory (%s)', async (_, whole) => {
    expect(await attackGguf(whole, whole.lastIndexOf('blk.1.') + 200)).toBeGreaterThan(100);
  });
});
