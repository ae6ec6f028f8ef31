/**
 * What the ways to sample cost over bare decoding, at M and a vocabulary of 49,152: best of 8 with a nucleus, 4 beams, and 4 beams under a schema, each over
 * the time in which the model alone decodes as many sequences of as many tokens from the same prompt.
 */
import { Sampling } from '../src/shared/sampling.ts';
import { createNativeDevice } from '../src/engine/device/native.ts';
import { compileConstraint } from '../src/engine/sampling/constraint/compile.ts';
import { generate } from '../src/engine/sampling/generate.ts';
import { createModel, sizes } from './configs.ts';
import { createSamples } from './decoder.ts';
import { CONSTRAINTS } from './masks.ts';
import { type Bench, compare } from './measure.ts';
import { wordTokenizer } from './word-tokenizer.ts';

const WAYS = {
  // weights drawn by chance find all tokens alike: so cold, that as few share the probability as in a model that has learned
  'bestof8.M.bf16': { count: 8, prompts: 8, sampling: { temperature: 0.05, topP: 0.9 }, constrained: false },
  'beams4.M.bf16': { count: 4, prompts: 1, sampling: { numBeams: 4 }, constrained: false },
  'beams4.M.json_schema': { count: 4, prompts: 1, sampling: { numBeams: 4 }, constrained: true },
};
/** Tokens of the prompt, and of an answer at most. */
const PROMPT = 64, STEPS = 32;

export async function benchStrategies(bench: Bench, only: string): Promise<void> {
  const wanted = Object.entries(WAYS).filter(([name]) => `sample.${name}`.includes(only));
  if (wanted.length === 0) return;
  const prompt = bench.options.toy ? 4 : PROMPT;
  const model = await createModel(createNativeDevice(bench.options.threads), sizes.M, { trainable: 'none', storage: 'bf16' });
  const tokenizer = { ...wordTokenizer(sizes.M.V), eosIds: [] }; // no answer ends before its time
  const constraint = compileConstraint(CONSTRAINTS.json_schema, tokenizer);
  for (const [name, { count, prompts, sampling, constrained }] of wanted) {
    const settings = Sampling.parse({ maxTokens: Math.max(STEPS, constrained ? constraint.fewestTokens : 0), ...sampling });
    let steps = 0;
    const run = async (): Promise<void> => {
      const ids = Array.from({ length: prompt }, (_, i) => 300 + i);
      for await (const event of generate(model, tokenizer, Array.from({ length: prompts }, () => ids), settings, { batchSize: prompts, cancelled: () => false, constraint: constrained ? constraint : null })) {
        if (event.type === 'completion') steps = event.ids.length;
      }
    };
    await run(); // says how many tokens there are to be
    const bare = createSamples(model, count, prompt, steps);
    const { theirs: seconds, ratio } = await compare(bench.clock, () => bare.run(), run, { most: 15, seconds: 1 });
    bare.free();
    bench.report(`sample.${name}.tokens_per_s`, (count * steps) / seconds, 'tokens/s');
    bench.report(`sample.${name}.over_decode`, ratio, '×');
  }
  model.free();
}
