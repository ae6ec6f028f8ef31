/** Generation on the small fixture model: what streams out is the completion, stops are honoured, and a batch changes nobody's answer. */
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { Sampling } from '../../shared/sampling.ts';
import { createReferenceDevice } from '../device/reference.ts';
import type { LanguageModel } from '../model/language-model.ts';
import { openModel } from '../open-model.ts';
import { loadTokenizer, type Tokenizer } from '../tokenizer/tokenizer.ts';
import { type Completion, generate } from './generate.ts';

const folder = fileURLToPath(new URL('../../../fixtures/models/llama', import.meta.url));
let model: LanguageModel;
let tokenizer: Tokenizer;

beforeAll(async () => {
  tokenizer = await loadTokenizer(folder);
  ({ model } = await openModel(createReferenceDevice(), { folder }, tokenizer, { storage: 'f32', trainable: 'none' }));
});

async function complete(texts: string[], settings: Partial<Sampling>, batchSize = 8, stopAfter = Infinity) {
  const prompts = texts.map((text) => tokenizer.encode(text));
  const streamed = texts.map(() => '');
  const completions: Completion[] = [];
  let tokens = 0;
  const cancelled = (): boolean => tokens >= stopAfter;
  for await (const event of generate(model, tokenizer, prompts, Sampling.parse({ maxTokens: 24, seed: 5, ...settings }), { batchSize, cancelled })) {
    if (event.type === 'token') {
      streamed[event.index] += event.text;
      tokens++;
    } else completions[event.index] = event;
  }
  return { streamed, completions };
}

const TEXTS = ['The dog', 'A small river runs', 'x'];

describe('generate', () => {
  it('streams exactly the text of the completion', async () => {
    const { streamed, completions } = await complete(TEXTS, { temperature: 1 });
    expect(streamed).toEqual(completions.map(({ text }) => text));
    expect(streamed.join('')).not.toBe('');
  });

  it('gives every prompt the answer it gets alone, whatever is beside it in the batch', async () => {
    const texts = ({ completions }: { completions: Completion[] }) => completions.map(({ ids }) => ids);
    const together = texts(await complete(TEXTS, { temperature: 1 }));
    expect(texts(await complete(TEXTS, { temperature: 1 }, 1))).toEqual(together);
    expect(texts(await complete(TEXTS.slice(0, 1), { temperature: 1 }))).toEqual(together.slice(0, 1));
  });

  it('reads a prompt that comes several times once, and answers each as if it stood alone', async () => {
    const texts = [TEXTS[0], TEXTS[1], TEXTS[0], TEXTS[0]];
    const ids = async (batchSize: number) => (await complete(texts, { temperature: 1 }, batchSize)).completions.map((completion) => completion.ids);
    const decoded: number[] = [];
    const { decode } = model;
    model.decode = (cache, inputs, options) => {
      decoded.push(inputs.reduce((sum, { tokens }) => sum + tokens.length, 0));
      return decode(cache, inputs, options);
    };
    const together = await ids(4);
    model.decode = decode;
    const [shared, other] = [TEXTS[0], TEXTS[1]].map((text) => tokenizer.encode(text).length);
    expect(decoded.slice(0, 2)).toEqual([shared - 1, 3 + other]); // the first all but its last token, then that thrice beside the other
    expect(await ids(1)).toEqual(together);
    expect(new Set(together.map(String)).size).toBe(4);
  });

  it('repeats itself with the same seed and not with another', async () => {
    const ids = async (seed: number) => (await complete(TEXTS, { temperature: 1, seed })).completions.map((completion) => completion.ids);
    expect(await ids(1)).toEqual(await ids(1));
    expect(await ids(1)).not.toEqual(await ids(2));
  });

  it('reports log-probs that one forward pass over prompt and answer gives again', async () => {
    const { completions } = await complete([TEXTS[0]], { temperature: 1 });
    const prompt = tokenizer.encode(TEXTS[0]);
    const tokens = Int32Array.from([...prompt, ...completions[0].ids]);
    const rows = Int32Array.from(completions[0].ids, (_, i) => prompt.length - 1 + i);
    const forward = await model.forward({
      tokens, positions: tokens.map((_, i) => i), segments: [{ start: 0, length: tokens.length, prefix: null }],
      rows, targets: rows.map((row) => tokens[row + 1]), sequences: rows.map(() => 0), sequenceCount: 1,
    });
    completions[0].logprobs.forEach((logprob, i) => expect(logprob).toBeCloseTo(forward.logprobs[i], 4));
  });

  it('ends before a stop string, of which nothing is streamed', async () => {
    const whole = (await complete([TEXTS[0]], { temperature: 1 })).completions[0].text;
    const stop = whole.slice(4, 7);
    const { streamed, completions } = await complete([TEXTS[0]], { temperature: 1, stop: [stop] });
    expect(completions[0].finishReason).toBe('stop');
    expect(completions[0].text).toBe(whole.slice(0, whole.indexOf(stop)));
    expect(streamed[0]).toBe(completions[0].text);
  });

  it('says why it ended: length, or cancelled with what there was', async () => {
    expect((await complete([TEXTS[0]], { temperature: 0, maxTokens: 3 })).completions[0]).toMatchObject({ finishReason: 'length', ids: { length: 3 } });
    const { completions } = await complete([TEXTS[1]], { temperature: 1, maxTokens: 200 }, 8, 2);
    expect(completions[0].finishReason).toBe('cancelled');
  });

  it('refuses a prompt without a token, and one that fills the model', async () => {
    await expect(complete([''], {})).rejects.toThrow(/the prompt has no tokens/);
    await expect(complete(['word '.repeat(model.config.maxPositionEmbeddings)], {})).rejects.toThrow(/tokens, the model takes/);
  });
});
