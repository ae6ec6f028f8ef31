/** Generation under a constraint on the small fixture model: every answer is whole within its budget, and nothing else about sampling changes. */
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { Constraint } from '../../shared/constraint.ts';
import { Sampling } from '../../shared/sampling.ts';
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

  it('refuses a budget that cannot suffice, stop strings and beams', async () => {
    const constraint = compile(NUMBER);
    await expect(complete(TEXTS, constraint, { maxTokens: 2 })).rejects.toThrow(/takes at least \d+ tokens/);
    await expect(complete(TEXTS, constraint, { stop: ['.'] })).rejects.toThrow(/stop string/);
    await expect(complete(TEXTS, constraint, { numBeams: 2 })).rejects.toThrow(/one beam/);
  });
});
