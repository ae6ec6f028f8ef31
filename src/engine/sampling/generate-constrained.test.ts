/** Generation under a constraint on the small fixture model: every answer is whole within its budget, and nothing else about sampling changes. */
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { Constraint } from '../../shared/constraint.ts';
import { Sampling } from '../../shared/sampling.ts';
import { packSequences } from '../data/pack.ts';
import { createReferenceDevice } from '../device/reference.ts';
import type { LanguageModel } from '../model/language-model.ts';
import { openModel } from '../open-model.ts';
import { loadTokenizer, type Tokenizer } from '../tokenizer/tokenizer.ts';
import { compileConstraint } from './constraint/compile.ts';
import type { CompiledConstraint } from './constraint/constraint.ts';
import { type Completion, generate } from './generate.ts';

const folder = fileURLToPath(new URL('../../../fixtures/models/llama', import.meta.url));
let model: LanguageModel;
let tokenizer: Tokenizer;

beforeAll(async () => {
  tokenizer = await loadTokenizer(folder);
  ({ model } = await openModel(createReferenceDevice(), { folder }, tokenizer, { storage: 'f32', trainable: 'none' }));
});

const compile = (value: unknown): CompiledConstraint => compileConstraint(Constraint.parse(value), tokenizer);

async function complete(texts: string[], constraint: CompiledConstraint | null, settings: Partial<Sampling>): Promise<Completion[]> {
  const completions: Completion[] = [];
  const prompts = texts.map((text) => tokenizer.encode(text));
  const sampling = Sampling.parse({ temperature: 1, maxTokens: 24, seed: 5, ...settings });
  for await (const event of generate(model, tokenizer, prompts, sampling, { batchSize: 8, cancelled: () => false, constraint })) if (event.type === 'completion') completions[event.index] = event;
  return completions;
}

const TEXTS = ['The dog', 'A small river runs', 'x'];
const NUMBER = { type: 'regex', pattern: 'n = [1-9][0-9]{0,30}' };

describe('generate under a constraint', () => {
  it.each([12, 24])('is whole within %i tokens', async (maxTokens) => {
    const constraint = compile(NUMBER);
    expect(constraint.fewestTokens).toBeLessThanOrEqual(12);
    for (const { text, ids } of await complete(TEXTS, constraint, { maxTokens })) {
      expect({ text, ...constraint.validate(text) }).toEqual({ text, valid: true, reason: null });
      expect(ids.length).toBeLessThanOrEqual(maxTokens);
    }
  });

  it('gives each prompt the answer it gets alone', async () => {
    const together = await complete(TEXTS, compile(NUMBER), {});
    expect((await complete(TEXTS.slice(0, 1), compile(NUMBER), {}))[0].ids).toEqual(together[0].ids);
  });

  it('says what it would have said where everything fits', async () => {
    const free = await complete(TEXTS, null, { maxTokens: 8, temperature: 0 });
    const texts = (completions: Completion[]) => completions.map(({ ids }) => ids);
    expect(texts(await complete(TEXTS, compile({ type: 'grammar', grammar: 'root ::= [^\\x00]*' }), { maxTokens: 8, temperature: 0 }))).toEqual(texts(free));
  });

  it("takes one choice as often as the model's own probabilities of the choices say", async () => {
    // one token each, so that the share of a choice is its probability over the sum of both
    const [yes, no] = ['a', 'b'].map((text) => tokenizer.encode(text)[0]);
    const prompt = tokenizer.encode(TEXTS[0]);
    const cache = model.createCache(prompt.length);
    const logits = await model.decode(cache, [{ sequence: cache.open(prompt.length), tokens: prompt }]);
    const share = 1 / (1 + Math.exp(logits[no] - logits[yes]));
    cache.free();
    const answers = await complete(Array.from({ length: 400 }, () => TEXTS[0]), compile({ type: 'choices', choices: ['a', 'b'] }), {});
    const found = answers.filter(({ text }) => text === 'a').length;
    // 3.29 standard deviations: a right sampler with this seed stays within
    expect(Math.abs(found - 400 * share)).toBeLessThan(3.29 * Math.sqrt(400 * share * (1 - share)));
  });

  it('refuses a budget that cannot suffice', async () => {
    await expect(complete(TEXTS, compile(NUMBER), { maxTokens: 2 })).rejects.toThrow(/takes at least \d+ tokens/);
  });

  it('ends at a stop string only where what stands before it is whole', async () => {
    const quoted = compile({ type: 'regex', pattern: '"[ab;]{3,5}"(;"[ab;]{3,5}")*' });
    const answers = await complete(Array.from({ length: 20 }, () => TEXTS[0]), quoted, { stop: [';'], maxTokens: 60 });
    for (const { text } of answers) expect(text).toMatch(/^"[ab;]{3,5}"$/);
    expect(answers.filter(({ text }) => text.includes(';')).length).toBeGreaterThan(0);
    expect(new Set(answers.map(({ finishReason }) => finishReason))).toEqual(new Set(['stop', 'eos']));
  });
});

describe('beam search under a constraint', () => {
  const CHOICES = ['a', 'ab', 'the dog', 'the', 'b a'];
  /** The tokens of the beams with their scores. */
  async function beams(constraint: CompiledConstraint, settings: Partial<Sampling>): Promise<{ ids: number[]; text: string; score: number }[]> {
    return (await complete(TEXTS.slice(0, 1), constraint, settings))[0].beams!;
  }
  /** Every way to cut a text into tokens, and then its end, with the sum of the model's log-probs. */
  async function everyWay(text: string): Promise<{ ids: number[]; sum: number }[]> {
    const prompt = tokenizer.encode(TEXTS[0]);
    const bytes = new TextEncoder().encode(text);
    const cuts = (from: number): number[][] =>
      from === bytes.length
        ? tokenizer.eosIds.map((id) => [id])
        : Array.from({ length: tokenizer.vocabSize }, (_, id) => id).flatMap((id) => {
            const own = tokenizer.eosIds.includes(id) ? null : tokenizer.tokenBytes(id);
            const fits = own !== null && own.length > 0 && own.every((byte, i) => byte === bytes[from + i]);
            return fits ? cuts(from + own.length).map((rest) => [id, ...rest]) : [];
          });
    const ways: { ids: number[]; sum: number }[] = [];
    for (const ids of cuts(0)) {
      const tokens = Int32Array.from([...prompt, ...ids]);
      const { logprobs } = await model.forward(packSequences([{ tokens, loss: Uint8Array.from(tokens, (_, i) => Number(i >= prompt.length)) }]), {});
      ways.push({ ids, sum: logprobs.reduce((sum, logprob) => sum + logprob, 0) });
    }
    return ways;
  }

  it.each([0, 1])('finds what an exhaustive search finds when no beginning is dropped (length penalty %i)', async (lengthPenalty) => {
    const all = (await Promise.all(CHOICES.map(everyWay))).flat().map(({ ids, sum }) => ({ ids, score: sum / ids.length ** lengthPenalty })).sort((a, b) => b.score - a.score);
    expect(all.length).toBeGreaterThan(CHOICES.length); // some are cut in several ways
    const found = await beams(compile({ type: 'choices', choices: CHOICES }), { numBeams: 64, lengthPenalty });
    expect(found.map(({ ids }) => ids)).toEqual(all.slice(0, 64).map(({ ids }) => ids));
    found.forEach(({ score }, i) => expect(score).toBeCloseTo(all[i].score, 4));
  });

  it.each([
    ['plain', { numBeams: 3 }], ['diverse', { numBeams: 6, numBeamGroups: 3, diversityPenalty: 0.8 }], ['with stop strings', { numBeams: 4, stop: [' ', '1'] }],
    ['penalised', { numBeams: 3, repetitionPenalty: 1.4, frequencyPenalty: 0.3 }], ['of few tokens', { numBeams: 4, maxTokens: 12 }],
  ] as const)('gives whole answers within the budget: %s', async (_, settings) => {
    for (const constraint of [NUMBER, { type: 'jsonSchema', schema: { type: 'array', items: { enum: ['a', 1, true] }, minItems: 1, maxItems: 3 } }, { type: 'grammar', grammar: 'root ::= "x" root | "y"' }].map(compile)) {
      for (const { text, ids } of await beams(constraint, { maxTokens: 24, ...settings, stop: 'stop' in settings ? [...settings.stop] : [] })) {
        expect({ text, ...constraint.validate(text) }).toEqual({ text, valid: true, reason: null });
        expect(ids.length).toBeLessThanOrEqual('maxTokens' in settings ? settings.maxTokens : 24);
      }
    }
  });

  it('writes free text first', async () => {
    const constraint = compile({ type: 'choices', choices: ['a', 'b'], after: '#' });
    for (const { text } of await beams(constraint, { numBeams: 3, maxTokens: 10 })) expect(text).toMatch(/^[^#]*#[ab]$/);
  });
});

describe('a pattern that would be tried for ever', () => {
  it('is kept to, and read again by the network alone', () => {
    const constraint = compile({ type: 'regex', pattern: '(a+)+b|a{30}c' });
    expect(constraint.validate(`${'a'.repeat(30)}c`).valid).toBe(true);
    expect(constraint.validate(`${'a'.repeat(40)}d`)).toMatchObject({ valid: false });
  });
});
