/**
 * What keeping to a constraint adds to decoding at a vocabulary of 49,152: answers of a schema, of free strings and of numbers drawn token by token, as
 * sampling does, over the time the model (M) takes for the same tokens. Every answer meets states that no mask was made for yet.
 */
import type { Constraint } from '../src/shared/constraint.ts';
import { createNativeDevice } from '../src/engine/device/native.ts';
import { compileConstraint } from '../src/engine/sampling/constraint/compile.ts';
import { allows, type CompiledConstraint } from '../src/engine/sampling/constraint/constraint.ts';
import type { Tokenizer } from '../src/engine/tokenizer/tokenizer.ts';
import { createModel, sizes } from './configs.ts';
import { createDecode } from './decoder.ts';
import { type Bench, median } from './measure.ts';
import { wordTokenizer } from './word-tokenizer.ts';

export const CONSTRAINTS: Record<string, Constraint> = {
  json_schema: {
    type: 'jsonSchema', enforce: 'mask',
    schema: {
      type: 'object', additionalProperties: false, required: ['name', 'age', 'tags', 'about'],
      properties: {
        name: { type: 'string', maxLength: 40 }, age: { type: 'integer', minimum: 0, maximum: 120 }, about: { type: 'string' },
        tags: { type: 'array', items: { enum: ['red', 'green', 'blue'] }, maxItems: 4 },
      },
    },
  },
  json: { type: 'jsonObject', enforce: 'mask' },
  regex: { type: 'regex', pattern: '[A-Z][a-z]{2,12}( [A-Za-z]{1,12}){3,40}\\.' },
};
const TOKENS = 48, ANSWERS = 6;

export async function benchMasks(bench: Bench, only: string): Promise<void> {
  const of = (what: string) => `sample.mask.M.${what}`;
  const wanted = Object.keys(CONSTRAINTS).filter((what) => of(what).includes(only));
  if (wanted.length === 0) return;
  const model = await createModel(createNativeDevice(bench.options.threads), sizes.M, { trainable: 'none', storage: 'bf16' });
  const decode = await createDecode(model, 1, 64, 8);
  const tokenizer = wordTokenizer(sizes.M.V);
  const time = async (work: () => void | Promise<void>): Promise<number> => {
    const start = bench.clock();
    await work();
    return bench.clock() - start;
  };
  await decode.run();
  for (const what of wanted) {
    const compiled = compileConstraint(CONSTRAINTS[what], tokenizer);
    const shares: number[] = [], micros: number[] = [];
    for (let turn = 0; turn < ANSWERS; turn++) {
      const model = (await time(() => decode.run())) / 8;
      let tokens = 0;
      const masks = await time(() => void (tokens = draw(compiled, tokenizer, turn)));
      shares.push(masks / tokens / model);
      micros.push((masks / tokens) * 1e6);
    }
    bench.report(`${of(what)}.us_per_token`, median(micros), 'µs');
    bench.report(`${of(what)}.share_of_decode`, median(shares), '');
  }
  decode.free();
  model.free();
}

/** Draws one answer from what the masks let through; returns its tokens. */
function draw(constraint: CompiledConstraint, tokenizer: Tokenizer, seed: number): number {
  const matcher = constraint.start();
  let state = seed + 1;
  let tokens = 0;
  while (tokens < TOKENS && !matcher.finished) {
    const mask = matcher.mask(TOKENS * 4 - tokens);
    let id = (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % tokenizer.vocabSize;
    while (!allows(mask, id)) id = (id + 1) % tokenizer.vocabSize;
    tokens++;
    if (tokenizer.eosIds.includes(id)) break;
    matcher.accept(id);
  }
  return tokens;
}
