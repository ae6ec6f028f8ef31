import { describe, expect, it } from 'vitest';
import { DpoRecipe, Recipe } from '../../../shared/recipe.ts';
import { fieldsOf, groupOf, METHODS } from './fields.ts';
import { layOut } from './layout.ts';
import { checkRecipe } from './recipe-check.ts';
import { addItem, moveItem, readText, removeItem, setField, topLevel, unsetField, withDefaults } from './recipe-text.ts';
import { REWARD_TYPES, rewardFieldsOf, describeReward } from './reward-fields.ts';

const fields = fieldsOf('dpo');
const order = topLevel(fields);

describe('the fields of a recipe', () => {
  it('are all those of the schema, nested ones by their path', () => {
    for (const method of METHODS) {
      const keys = fieldsOf(method).map(({ path }) => path[0]);
      const schema = Recipe.options.find((option) => option.shape.method.value === method)!;
      expect(new Set(['method', ...keys])).toEqual(new Set(Object.keys(schema.shape)));
    }
    expect(fields.find(({ key }) => key === 'optimizer.learningRate')).toMatchObject({ kind: 'number', standard: 2e-5, range: { exclusiveMinimum: 0, maximum: 1 } });
    expect(fields.find(({ key }) => key === 'lora')).toMatchObject({ kind: 'group', standard: null });
    expect(groupOf(fields.find(({ key }) => key === 'lora.r')!, fields)?.key).toBe('lora');
  });

  it('each have one place in the form, also one the layout does not name', () => {
    const unheardOf = { ...fields[0], path: ['somethingNew'], key: 'somethingNew' };
    const { above, first, groups } = layOut([...fields, unheardOf]);
    const placed = [...above, ...first, ...groups.flatMap(({ fields }) => fields)].map(({ key }) => key);
    expect(placed.toSorted()).toEqual([...fields.map(({ key }) => key), 'somethingNew'].toSorted());
  });

  it('are described, every one', () => {
    expect(METHODS.flatMap(fieldsOf).filter(({ description }) => description === '')).toEqual([]);
    expect(REWARD_TYPES.flatMap((type) => [describeReward(type), ...rewardFieldsOf(type, [])]).filter(({ description }) => !description)).toEqual([]);
  });
});

describe('a recipe as text', () => {
  it('keeps comments and order when one field is set, and puts a new one where the schema has it', () => {
    const text = '# a try\nmethod: dpo\nbeta: 0.1 # strength\n';
    expect(setField(setField(text, ['model'], 'attune-sft', order), ['beta'], 0.0002, order)).toBe('# a try\nmethod: dpo\nmodel: attune-sft\nbeta: 2e-4 # strength\n');
  });

  it('makes the fields around a nested one, and takes one out again', () => {
    const set = setField(setField('method: dpo\n', ['optimizer', 'learningRate'], 5e-5, order), ['lora', 'r'], 8, order);
    expect(set).toBe('method: dpo\noptimizer:\n  learningRate: 5e-5\nlora:\n  r: 8\n');
    expect(unsetField(set, ['lora'])).toBe('method: dpo\noptimizer:\n  learningRate: 5e-5\n');
    expect(setField('method: dpo\nlora: {}\n', ['lora', 'r'], 8, order)).toBe('method: dpo\nlora:\n  r: 8\n');
    expect(setField('method: dpo\noptimizer:\n', ['optimizer', 'weightDecay'], 0.1, order)).toBe('method: dpo\noptimizer:\n  weightDecay: 0.1\n');
  });

  it('keeps a list of rewards as a list: added to, changed inside, put in order with its comments, taken from', () => {
    const list = ['rewards'];
    const grpo = topLevel(fieldsOf('grpo'));
    const one = addItem('method: grpo\nbeta: 0.1\n', list, { type: 'regex' }, grpo);
    expect(one).toBe('method: grpo\nrewards:\n  - type: regex\nbeta: 0.1\n');
    const text = 'method: grpo\nrewards:\n  # whole sentences\n  - type: regex # short\n    pattern: a\n  # not long\n  - type: length\n    max: 5\n';
    expect(moveItem(text, list, 0, 1)).toBe('method: grpo\nrewards:\n  # not long\n  - type: length\n    max: 5\n  # whole sentences\n  - type: regex # short\n    pattern: a\n');
    expect(removeItem(text, list, 0)).toBe('method: grpo\nrewards:\n  # not long\n  - type: length\n    max: 5\n');
    expect(setField(text, ['rewards', '1', 'weight'], -0.5, grpo)).toBe(`${text}    weight: -0.5\n`);
    const code = '({ completion }) => {\n  return completion.length;\n}';
    const written = setField(one, ['rewards', '0', 'code'], code, grpo);
    expect(written).toContain('code: |-\n      ({ completion }) => {\n        return');
    expect(readText(written).value).toMatchObject({ rewards: [{ type: 'regex', code }] });
  });

  it('says the same recipe with every field written out and with the defaults left out', () => {
    const text = 'method: dpo\nmodel: a\ndataset: b\nseed: 42\nlora:\n  r: 8\n  loraAlpha: 32\noptimizer:\n  learningRate: 2e-5\n';
    const all = withDefaults(text, fields, true);
    const few = withDefaults(all, fields, false);
    expect(checkRecipe(all).recipe).toEqual(checkRecipe(text).recipe);
    expect(checkRecipe(few).recipe).toEqual(checkRecipe(text).recipe);
    expect(few).toBe('method: dpo\nmodel: a\ndataset: b\nlora:\n  r: 8\n');
    expect(readText(all).value).toEqual(JSON.parse(JSON.stringify(DpoRecipe.parse(readText(text).value))));
  });
});

describe('a check of a recipe', () => {
  it('says which field is wrong, how, and where in the text', () => {
    const text = 'method: dpo\nmodel: a\ndataset: b\nbeta: 0\nlearning_rate: 1\nlora:\n  r: 2.5\n';
    const { recipe, problems } = checkRecipe(text);
    expect(recipe).toBeNull();
    expect(problems.map(({ from, to, ...problem }) => [text.slice(from, to), problem])).toEqual([
      ['0', { kind: 'range', bound: '>', limit: 0, path: ['beta'] }],
      ['learning_rate', { kind: 'unknown', name: 'learning_rate', near: 'optimizer.learningRate', path: ['learning_rate'] }],
      ['2.5', { kind: 'expected', what: 'whole', path: ['lora', 'r'] }],
    ]);
  });

  it('tells broken YAML, a list, and a method nobody knows apart', () => {
    expect(checkRecipe('a: [').problems[0]).toMatchObject({ kind: 'syntax' });
    expect(checkRecipe('- a').problems[0]).toMatchObject({ kind: 'not-fields' });
    expect(checkRecipe('method: ppp').problems[0]).toMatchObject({ kind: 'choice', choices: METHODS });
    expect(checkRecipe('').problems[0]).toMatchObject({ kind: 'missing', path: ['method'] });
  });

  it('says which reward of a list is wrong, and where', () => {
    const text = 'method: grpo\nmodel: a\ndataset: b\nrewards:\n  - type: regex\n    pattern: (\n  - type: json\n    schema: "{"\n  - type: fun\n  - type: length\n    max: 0\ngoldReward:\n  type: exact\n  pattern: "["\n';
    expect(checkRecipe(text).problems.map(({ from, to, path, kind }) => [path.join('.'), kind, text.slice(from, to)])).toEqual([
      ['rewards.0.pattern', 'other', '('],
      ['rewards.1.schema', 'expected', '"{"'],
      ['rewards.2.type', 'choice', 'fun'],
      ['rewards.3.max', 'range', '0'],
      ['goldReward.pattern', 'other', '"["'],
    ]);
  });

  it('finds what is only missing', () => {
    expect(checkRecipe('method: sft\n').problems.map(({ kind, path }) => [kind, path[0]])).toEqual([['missing', 'model'], ['missing', 'dataset']]);
  });
});
