import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { UserError } from '../user-error.ts';
import { parseRecipe, readRecipe } from './recipe-file.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'attune-recipe-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function refusal(value: unknown): string {
  try {
    parseRecipe(value, 'recipe.yaml');
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    return (error as Error).message;
  }
  throw new Error('the recipe was not refused');
}
const good = { method: 'sft', model: 'base', dataset: 'rows' };

test('a recipe of three fields is whole: the rest are defaults', () => {
  expect(parseRecipe(good, 'r')).toMatchObject({ method: 'sft', seed: 42, optimizer: { learningRate: 2e-5, maxGradNorm: 1 }, lora: null });
});

test('YAML and JSON files are both read', () => {
  writeFileSync(join(folder, 'a.yaml'), 'method: dpo\nmodel: base\ndataset: pairs\noptimizer:\n  learningRate: 5.0e-6\n');
  writeFileSync(join(folder, 'a.json'), JSON.stringify({ ...good, lora: { r: 4 } }));
  expect(readRecipe(join(folder, 'a.yaml'))).toMatchObject({ method: 'dpo', beta: 0.1, optimizer: { learningRate: 5e-6 } });
  expect(readRecipe(join(folder, 'a.json'))).toMatchObject({ lora: { r: 4, loraAlpha: 32 } });
});

test('a value out of range is told with its field, the range and what came', () => {
  expect(refusal({ ...good, optimizer: { learningRate: -1 } })).toBe('recipe.yaml: optimizer.learningRate: expected a number > 0, got -1');
  expect(refusal({ ...good, lora: { r: 2000 } })).toBe('recipe.yaml: lora.r: expected a number ≤ 1024, got 2000');
  expect(refusal({ ...good, seed: 1.5 })).toBe('recipe.yaml: seed: expected a whole number, got 1.5');
  expect(refusal({ ...good, numTrainEpochs: 'two' })).toBe('recipe.yaml: numTrainEpochs: expected a number, got "two"');
  expect(refusal({ ...good, template: 'vicuna' })).toBe('recipe.yaml: template: expected alpaca, chatml, chat, got "vicuna"');
});

test('what is missing is named', () => {
  expect(refusal({ method: 'sft', dataset: 'rows' })).toBe('recipe.yaml: model: missing');
  expect(refusal({ model: 'base', dataset: 'rows' })).toBe('recipe.yaml: method: expected pretrain, sft, dpo, cpo, orpo, kto, reward, classify, grpo, rloo, ppo, rejection, got nothing');
  expect(refusal({ ...good, method: 'ppp' })).toBe('recipe.yaml: method: expected pretrain, sft, dpo, cpo, orpo, kto, reward, classify, grpo, rloo, ppo, rejection, got "ppp"');
  expect(refusal(['sft'])).toBe('recipe.yaml: expected fields such as "method: sft", got a list');
});

test('an unknown field is named with the one that was probably meant, also where that lies deeper', () => {
  expect(refusal({ ...good, learning_rate: 1e-4 })).toBe('recipe.yaml: learning_rate: there is no such field; did you mean optimizer.learningRate?');
  expect(refusal({ ...good, optimizer: { warmupRation: 0.1 } })).toBe(
    'recipe.yaml: optimizer.warmupRation: there is no such field; did you mean optimizer.warmupRatio?',
  );
  expect(refusal({ ...good, zzz: 1 })).toBe('recipe.yaml: zzz: there is no such field');
});

test('several faults are told at once, a line each', () => {
  expect(refusal({ ...good, seed: -1, maxLength: 2 }).split('\n')).toHaveLength(2);
});

test('a file that is not there or not YAML is told as such', () => {
  expect(() => readRecipe(join(folder, 'none.yaml'))).toThrow(/none\.yaml: the recipe cannot be read \(ENOENT\)/);
  writeFileSync(join(folder, 'broken.yaml'), 'method: [sft\nmodel: x');
  expect(() => readRecipe(join(folder, 'broken.yaml'))).toThrow(/broken\.yaml: not YAML: .* line 2/);
});
