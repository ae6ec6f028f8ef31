import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ggufTokenizer } from './gguf-tokenizer.ts';
import { readVocabulary } from './gguf-vocabulary.ts';
import { readGguf } from './testing.ts';

const assets = resolve(import.meta.dirname, '../../../../shared/assets');
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'attune-gguf-tokenizer-'));
});
afterAll(() => rm(folder, { recursive: true }));

const BYTE_LEVEL = { type: 'ByteLevel', add_prefix_space: false, use_regex: true };
const BYTE_LEVEL_ONLY = { ...BYTE_LEVEL, use_regex: false };
const split = (Regex: string) => ({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false });
const sequence = (...pretokenizers: unknown[]) => ({ type: 'Sequence', pretokenizers });

type Files = {
  json?: object;
  model?: object;
  settings?: object;
  generation?: object;
  config?: Record<string, unknown>;
  rows?: number;
  jinja?: string;
};

/** Metadata of a byte-level tokenizer with tokens a, b, ab and <s>, changed as given. */
async function convert({
  json,
  model,
  settings = {},
  generation = {},
  config = {},
  rows = 4,
  jinja,
}: Files): Promise<Record<string, unknown>> {
  const tokenizer = {
    model: { type: 'BPE', vocab: { a: 0, b: 1, ab: 2 }, merges: ['a b'], ...model },
    added_tokens: [{ id: 3, content: '<s>', special: true }],
    pre_tokenizer: BYTE_LEVEL,
    ...json,
  };
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer));
  await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify(settings));
  await writeFile(join(folder, 'generation_config.json'), JSON.stringify(generation));
  await rm(join(folder, 'chat_template.jinja'), { force: true });
  if (jinja !== undefined) await writeFile(join(folder, 'chat_template.jinja'), jinja);
  const entries = await ggufTokenizer(folder, config, rows);
  return Object.fromEntries(entries.map(([key, value]) => [key.replace('tokenizer.', ''), Object.values(value)[0]]));
}

describe('byte-level BPE', () => {
  it('names the pre-tokenizer by what it does', async () => {
    const pre = async (pre_tokenizer: unknown) => (await convert({ json: { pre_tokenizer } }))['ggml.pre'];
    expect(await pre(BYTE_LEVEL)).toBe('gpt-2');
    expect(await pre(sequence({ type: 'Digits', individual_digits: true }, BYTE_LEVEL))).toBe('smollm');
    // spelled as in the tokenizer.json of GPT-2, Qwen2 and Llama 3
    const gpt2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
    const qwen2 =
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    expect(await pre(sequence(split(gpt2), BYTE_LEVEL_ONLY))).toBe('gpt-2');
    expect(await pre(sequence(split(qwen2), BYTE_LEVEL_ONLY))).toBe('qwen2');
    expect(await pre(sequence(split(qwen2.replace('|\\p{N}|', '|\\p{N}{1,3}|')), BYTE_LEVEL_ONLY))).toBe('llama-bpe');
  });

  it('has chat templates of other names, every end, and the tokens between which code is filled in; the way back finds them', async () => {
    const added = ['<s>', '<|eom_id|>', '<|eot_id|>', '<|fim_prefix|>', '<|fim_suffix|>', '<|fim_middle|>', '<sep>', '<mask>'].map((content, i) => ({ id: 3 + i, content, special: true }));
    const templates = [{ name: 'default', template: 'plain' }, { name: 'tool_use', template: 'tools' }, { name: 'a-b', template: 'odd' }];
    const settings = { eos_token: '<s>', sep_token: '<sep>', mask_token: '<mask>', chat_template: templates };
    const values = await convert({ json: { added_tokens: added }, settings, generation: { eos_token_id: [3, 4, 5] }, rows: 11 });
    expect(values).toMatchObject({
      chat_template: 'plain', 'chat_template.tool_use': 'tools', 'chat_template.a_b': 'odd', chat_templates: ['tool_use', 'a_b'], 'ggml.eos_token_id': 3, 'ggml.eom_token_id': 4, 'ggml.eot_token_id': 5,
      'ggml.fim_pre_token_id': 6, 'ggml.fim_suf_token_id': 7, 'ggml.fim_mid_token_id': 8, 'ggml.seperator_token_id': 9, 'ggml.mask_token_id': 10,
    });
    const metadata = new Map(Object.entries(values).map(([key, value]) => [`tokenizer.${key}`, value instanceof Int32Array ? [...value] : value]));
    const back = readVocabulary(metadata, 'a.gguf');
    expect(back).toMatchObject({ chatTemplate: 'plain', namedTemplates: { tool_use: 'tools', a_b: 'odd' }, eos: [5, 4], config: { eos_token: '<s>', sep_token: '<sep>', mask_token: '<mask>' } });
  });

  it('refuses what llama.cpp would split in another way', async () => {
    const cases: [Files, RegExp][] = [
      [
        { json: { pre_tokenizer: sequence(split('\\w+'), BYTE_LEVEL_ONLY) } },
        /tokenizer.json: its pre_tokenizer is none of gpt-2, smollm, qwen2/,
      ],
      [{ json: { pre_tokenizer: { ...BYTE_LEVEL, add_prefix_space: true } } }, /its pre_tokenizer is none/],
      [{ json: { pre_tokenizer: null } }, /its pre_tokenizer is none/],
      [{ json: { normalizer: { type: 'Lowercase' } } }, /normalizer Lowercase has no counterpart/],
      [{ model: { ignore_merges: true } }, /ignore_merges with the gpt-2/],
      [{ model: { type: 'WordPiece' } }, /its model is "WordPiece"; BPE and Unigram/],
      [{ model: { merges: ['a b c'] } }, /merge "a b c" is not two parts/],
      [{ rows: 3 }, /token "<s>" has id 3 but the model has 3 embedding rows/],
    ];
    for (const [files, message] of cases) await expect(convert(files)).rejects.toThrow(message);
  });

  it('tells control, user-defined and missing tokens apart', async () => {
    const added_tokens = [
      { id: 3, content: '<s>', special: true },
      { id: 4, content: '<think>', special: false },
      { id: 6, content: '<|tool|>', special: false }, // looks like a control token, so it is one
    ];
    const values = await convert({ json: { added_tokens }, rows: 8 });
    expect(values['ggml.tokens']).toEqual(['a', 'b', 'ab', '<s>', '<think>', '[PAD5]', '<|tool|>', '[PAD7]']);
    expect([...(values['ggml.token_type'] as Int32Array)]).toEqual([1, 1, 1, 3, 4, 5, 3, 5]);
  });

  it('writes merges of both spellings', async () => {
    expect((await convert({ model: { merges: ['a b'] } }))['ggml.merges']).toEqual(['a b']);
    expect((await convert({ model: { merges: [['a', ' b']] } }))['ggml.merges']).toEqual(['a Ġb']);
  });
});

describe('special tokens', () => {
  it('come from tokenizer_config.json, then config.json', async () => {
    const values = await convert({
      settings: { bos_token: { content: '<s>' }, pad_token: 'ab' },
      config: { eos_token_id: [1, 2], bos_token_id: 0 },
    });
    expect(values).toMatchObject({ 'ggml.bos_token_id': 3, 'ggml.padding_token_id': 2, 'ggml.eos_token_id': 1 });
    expect(values).not.toHaveProperty('ggml.unknown_token_id');
  });

  it('a second end of generation becomes the end of turn', async () => {
    expect((await convert({ config: { eos_token_id: 1 }, generation: { eos_token_id: [1, 3] } }))['ggml.eot_token_id']).toBe(3);
    expect(await convert({ config: { eos_token_id: 1 }, generation: { eos_token_id: 1 } })).not.toHaveProperty('ggml.eot_token_id');
  });

  it('says whether text starts with one', async () => {
    const template = (id: string) => ({ type: 'TemplateProcessing', single: [{ SpecialToken: { id } }, { Sequence: { id: 'A' } }] });
    const bos = { bos_token: '<s>' };
    const adds = async (files: Files) => (await convert(files))['ggml.add_bos_token'];
    expect(await adds({ settings: bos })).toBe(false);
    expect(await adds({ settings: bos, json: { post_processor: template('<s>') } })).toBe(true);
    expect(await adds({ settings: bos, json: { post_processor: { type: 'Sequence', processors: [BYTE_LEVEL, template('<s>')] } } })).toBe(
      true,
    );
    expect(await adds({ settings: { ...bos, add_bos_token: true } })).toBe(true);
    expect(await adds({ settings: { add_bos_token: true } })).toBe(false); // there is none to add
    await expect(adds({ settings: bos, json: { post_processor: template('ab') } })).rejects.toThrow(
      'adds "ab", not the bos token',
    );
  });

  it('takes the chat template from its file, else from the settings', async () => {
    const named = [
      { name: 'tool_use', template: 'X' },
      { name: 'default', template: 'D' },
    ];
    expect((await convert({ settings: { chat_template: 'S' }, jinja: 'J' })).chat_template).toBe('J');
    expect((await convert({ settings: { chat_template: 'S' } })).chat_template).toBe('S');
    expect((await convert({ settings: { chat_template: named } })).chat_template).toBe('D');
    expect(await convert({})).not.toHaveProperty('chat_template');
  });
});

describe('SentencePiece-like BPE', () => {
  const prepend = { type: 'Prepend', prepend: '▁' };
  const replace = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
  const llama = {
    model: {
      type: 'BPE',
      byte_fallback: true,
      unk_token: '<unk>',
      merges: ['▁ a', 'a b'],
      vocab: { '<unk>': 0, '<0x0A>': 1, a: 2, b: 3, '▁': 4, ab: 5, '▁a': 6 },
    },
    added_tokens: [
      { id: 0, content: '<unk>', special: true },
      { id: 7, content: '▁x', special: false },
    ],
    normalizer: { type: 'Sequence', normalizers: [prepend, replace] },
    pre_tokenizer: null,
  };

  it('scores tokens by the place of their merge', async () => {
    const values = await convert({ json: llama, rows: 9 });
    expect(values['ggml.model']).toBe('llama');
    expect(values['ggml.pre']).toBe('default');
    expect(values['ggml.tokens']).toEqual(['<unk>', '<0x0A>', 'a', 'b', '▁', 'ab', '▁a', ' x', '[PAD8]']);
    expect([...(values['ggml.token_type'] as Int32Array)]).toEqual([2, 6, 1, 1, 1, 1, 1, 4, 5]);
    // ▁a is merged first, then ab; the tokens no merge makes follow by id
    const scores = [...(values['ggml.scores'] as Float32Array)];
    expect(scores[6]).toBe(-1);
    expect(scores[5]).toBe(-2);
    expect(scores[2]).toBeGreaterThan(scores[3]);
    expect(scores[5]).toBeGreaterThan(scores[2]);
    expect(values).not.toHaveProperty('ggml.merges');
  });

  it('knows whether a space goes before the text', async () => {
    const prefix = async (json: object) => (await convert({ json: { ...llama, ...json }, rows: 9 }))['ggml.add_space_prefix'];
    const metaspace = { type: 'Metaspace', replacement: '▁' };
    expect(await prefix({})).toBe(true);
    expect(await prefix({ normalizer: replace })).toBe(false);
    expect(await prefix({ normalizer: null, pre_tokenizer: { ...metaspace, prepend_scheme: 'first' } })).toBe(true);
    expect(await prefix({ normalizer: null, pre_tokenizer: { ...metaspace, prepend_scheme: 'never' } })).toBe(false);
    await expect(prefix({ normalizer: { type: 'NFKC' } })).rejects.toThrow('its NFKC step has no counterpart');
  });
});

describe.skipIf(!existsSync(assets))("llama.cpp's own vocabularies (skipped where ../shared/assets is absent)", () => {
  it('phi-3: same tokens and types, and scores in the same order', async () => {
    const { metadata } = await readGguf(join(assets, 'tokenizers/vectors/ggml-vocab-phi-3.gguf'));
    const tokens = metadata.get('tokenizer.ggml.tokens') as string[];
    const entries = await ggufTokenizer(join(assets, 'tokenizers/phi-3'), {}, tokens.length);
    const values = Object.fromEntries(entries.map(([key, value]) => [key, Object.values(value)[0] as unknown]));
    const types = metadata.get('tokenizer.ggml.token_type') as number[];
    const same = (i: number) => (values['tokenizer.ggml.tokens'] as string[])[i] === tokens[i];
    const ordinary = [...tokens.keys()].filter((i) => types[i] === 1 || types[i] === 6);
    expect(ordinary.length).toBeGreaterThan(31_900);
    expect(ordinary.filter((i) => !same(i))).toEqual([]);
    expect(ordinary.filter((i) => (values['tokenizer.ggml.token_type'] as Int32Array)[i] !== types[i])).toEqual([]);
    // Runs of spaces have score -1e9 there, being merged last; ours come last among the merges too.
    // Single characters are left out: no merge makes them, so their score decides nothing.
    const scores = metadata.get('tokenizer.ggml.scores') as number[];
    const ours = values['tokenizer.ggml.scores'] as Float32Array;
    const merged = ordinary.filter((i) => types[i] === 1 && [...tokens[i]].length > 1);
    const order = (of: ArrayLike<number>) => merged.filter((i) => scores[i] > -1e9).sort((a, b) => of[b] - of[a]);
    expect(order(ours)).toEqual(order(scores));
    const worst = Math.min(...merged.filter((i) => scores[i] > -1e9).map((i) => ours[i]));
    for (const i of merged.filter((j) => scores[j] === -1e9)) expect(ours[i]).toBeLessThan(worst);
    for (const key of ['bos_token_id', 'eos_token_id', 'unknown_token_id', 'add_bos_token', 'add_eos_token']) {
      expect(values[`tokenizer.ggml.${key}`], key).toBe(metadata.get(`tokenizer.ggml.${key}`));
    }
  });

  it('qwen3 is byte-level with the qwen2 pre-tokenizer', async () => {
    const values = Object.fromEntries(await ggufTokenizer(join(assets, 'tokenizers/qwen3'), {}, 151936)) as Record<
      string,
      Record<string, unknown>
    >;
    expect(values['tokenizer.ggml.pre']).toEqual({ string: 'qwen2' });
    const tokens = values['tokenizer.ggml.tokens'].strings as string[];
    expect(tokens[151645]).toBe('<|im_end|>');
    expect(tokens[151669]).toBe('[PAD151669]');
    expect(values['tokenizer.ggml.eos_token_id']).toEqual({ u32: 151645 });
  });
});
