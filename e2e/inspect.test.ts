/** `attune inspect`: a model's parts and memory, its tokens, the numbers in its tensors, and what a LoRA run changed against its base. */
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createWorkplace, ROOT, type Workplace } from './attune.ts';

let place: Workplace;
beforeEach(() => {
  place = createWorkplace();
});
afterEach(() => place.remove());
const adapter = join(ROOT, 'resources', 'quickstart', 'checkpoint');

test('a model is told of by parts, memory, attention and cache, as text and as JSON', async () => {
  const { code, stdout } = await place.attune(['inspect', 'attune-base']);
  expect(code).toBe(0);
  expect(stdout).toContain('attune-base: LlamaForCausalLM (llama), 5,770,496 parameters');
  expect(stdout).toContain('grouped-query, 4 query heads on 2 key/value heads of 64');
  const json = JSON.parse((await place.attune(['inspect', 'attune-base', '--json'])).stdout) as { cache: unknown; parts: { part: string }[] };
  // keys and values of 6 layers, 2 heads of 64: f32 here
  expect(json.cache).toEqual([{ tokens: 512, kept: 2 * 6 * 2 * 64 * 4 * 512, windowed: 2 * 6 * 2 * 64 * 2 * 512 }]);
  expect(json.parts.map(({ part }) => part)).toEqual(['embedding', 'attention', 'mlp', 'norms']);
});

test('tokens are found, tensors weighed, and an adapter is compared with its base', async () => {
  const found = await place.attune(['inspect', 'attune-base', '--vocab', 'im_end']);
  expect(found.stdout).toMatch(/^2 +<\|im_end\|> .* special .*template/m);
  const weighed = JSON.parse((await place.attune(['inspect', 'attune-base', '--weigh', '--json'])).stdout) as { tensors: { nonFinite: number }[] };
  expect(weighed.tensors).toHaveLength(56);
  expect(weighed.tensors.every(({ nonFinite }) => nonFinite === 0)).toBe(true);
  const compared = await place.attune(['inspect', adapter, '--against', 'attune-base']);
  expect(compared.stdout).toContain('42 of 56 tensors changed'); // seven linears of six layers
});

test('two questions at once, and a model that is none, end with 2', async () => {
  const both = await place.attune(['inspect', 'attune-base', '--tensors', '--weigh']);
  expect(both).toMatchObject({ code: 2, stderr: 'attune: --tensors and --weigh: ask for one at a time\n' });
  expect((await place.attune(['inspect', 'nobody'])).code).toBe(2);
});
