/** Constraints worked out in a thread: the same masks as in this one, the same refusals, and an end to what takes too long. */
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { Constraint } from '../../shared/constraint.ts';
import { createRandom } from '../random.ts';
import { compileConstraint } from '../sampling/constraint/compile.ts';
import { allows } from '../sampling/constraint/constraint.ts';
import { loadTokenizer, type Tokenizer } from '../tokenizer/tokenizer.ts';
import { createCompiler } from './compiler.ts';

let tokenizer: Tokenizer;
beforeAll(async () => {
  tokenizer = await loadTokenizer(fileURLToPath(new URL('../../../fixtures/models/llama', import.meta.url)));
});

const ASKED = [
  { type: 'jsonSchema', schema: { type: 'object', properties: { name: { type: 'string', pattern: '^[a-f]{2,9}$' }, n: { type: 'array', items: { type: 'integer', minimum: 0, maximum: 300 }, maxItems: 3 } }, required: ['name', 'n'] } },
  { type: 'jsonObject' }, { type: 'grammar', grammar: 'root ::= "x" root | "(" root ")" | [0-9]{2,40}' }, { type: 'choices', choices: ['yes', 'no', '예'], after: '#' },
].map((asked) => Constraint.parse(asked));

describe('a compiler', () => {
  it.each(ASKED)('gives the masks that this thread gives: $type', async (constraint) => {
    const [there, here] = [await createCompiler(tokenizer)(constraint), compileConstraint(constraint, tokenizer)];
    expect(there.fewestTokens).toBe(here.fewestTokens);
    const { next } = createRandom(3);
    const [a, b] = [there.start(), here.start()];
    for (let left = 60; left > 0 && !a.finished; left--) {
      expect(a.mask(left)).toEqual(b.mask(left));
      const allowed = Array.from({ length: tokenizer.vocabSize }, (_, id) => id).filter((id) => allows(a.mask(left), id) && !tokenizer.eosIds.includes(id));
      if (allowed.length === 0) break;
      const id = allowed[Math.floor(next() * allowed.length)];
      for (const matcher of [a, b]) matcher.accept(id);
      expect([a.complete, a.finished]).toEqual([b.complete, b.finished]);
    }
  });

  it('refuses by name, and goes on', async () => {
    const compile = createCompiler(tokenizer);
    await expect(compile(Constraint.parse({ type: 'jsonSchema', schema: { unevaluatedProperties: false } }))).rejects.toMatchObject({ pointer: '/unevaluatedProperties' });
    expect((await compile(ASKED[1])).fewestTokens).toBe(2);
  });

  it('ends what takes too long', async () => {
    await expect(createCompiler(tokenizer, 1)(ASKED[0])).rejects.toThrow(/longer than 0.001 s to work out what is asked for/);
  });
});
