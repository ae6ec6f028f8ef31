/** Masks against what they promise: nothing but whole and valid answers, at every budget, and every token that fits is let through. */
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { Constraint } from '../../../shared/constraint.ts';
import { createRandom } from '../../random.ts';
import { loadTokenizer, type Tokenizer } from '../../tokenizer/tokenizer.ts';
import { compileConstraint } from './compile.ts';
import { allows, ConstraintError } from './constraint.ts';
import { drawText } from './testing.ts';

let tokenizer: Tokenizer;
beforeAll(async () => {
  tokenizer = await loadTokenizer(fileURLToPath(new URL('../../../../resources/models/attune-base', import.meta.url)));
});

const compile = (value: unknown) => compileConstraint(Constraint.parse(value), tokenizer);
const schema = (value: unknown) => ({ type: 'jsonSchema', schema: value });

function refusal(value: unknown): { message: string; pointer: string | null; line: number | null } {
  try {
    compile(value);
  } catch (error) {
    if (error instanceof ConstraintError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

const PERSON = {
  type: 'object', additionalProperties: false, required: ['name', 'age', 'tags'],
  properties: {
    name: { type: 'string', minLength: 1, maxLength: 12 }, age: { type: 'integer', minimum: 0, maximum: 130 },
    tags: { type: 'array', items: { enum: ['a', 'b', 'c'] }, uniqueItems: true, minItems: 1 }, when: { type: 'string', format: 'date-time' },
  },
};
const LIST = { $defs: { list: { type: 'object', required: ['value'], properties: { value: { type: 'number' }, next: { $ref: '#/$defs/list' } }, additionalProperties: false } }, $ref: '#/$defs/list' };

const CONSTRAINTS: [string, unknown][] = [
  ['choices', { type: 'choices', choices: ['yes', 'no', 'maybe so', '아니요'] }],
  ['a regular expression', { type: 'regex', pattern: '[a-z]{3,8}@[a-z]+\\.(com|org)' }],
  ['a regular expression with assertions', { type: 'regex', pattern: '(?!ab)[abc]{2,5}' }],
  ['any JSON object', { type: 'jsonObject' }],
  ['a schema of an object', schema(PERSON)],
  ['a schema that recurs', schema(LIST)],
  ['a schema of alternatives', schema({ oneOf: [{ type: 'integer', multipleOf: 3 }, { type: 'string', pattern: '^x+$' }, { const: null }] })],
  ['a grammar', { type: 'grammar', grammar: 'root ::= expr\nexpr ::= term (("+" | "-") term)*\nterm ::= [0-9]{1,3} | "(" expr ")"' }],
  ['free text before choices', { type: 'choices', choices: ['yes', 'no'], after: '</think>' }],
];

describe.each(CONSTRAINTS)('%s', (_, constraint) => {
  it('gives only valid answers, whole at every budget from the fewest tokens on', () => {
    const compiled = compile(constraint);
    const random = createRandom(3);
    const fewest = compiled.fewestTokens;
    for (const budget of [fewest, fewest, fewest + 1, fewest + 2, fewest + 3, fewest + 7, fewest + 20, 60, 60]) {
      if (budget < fewest) continue;
      const { text, tokens, complete } = drawText(compiled, tokenizer, random.next, budget);
      expect(tokens).toBeLessThanOrEqual(budget);
      expect({ text, complete, ...compiled.validate(text) }).toEqual({ text, complete: true, valid: true, reason: null });
    }
  });

  it('says so when the budget cannot suffice', () => {
    const compiled = compile(constraint);
    expect(() => compiled.start().mask(compiled.fewestTokens - 1)).toThrow(/more tokens/);
  });
});

describe('a mask', () => {
  it('lets through exactly the tokens whose text goes on to a whole one', () => {
    const words = ['red', 'green', 'greenish blue', '빨강'];
    const compiled = compile({ type: 'choices', choices: words });
    const matcher = compiled.start();
    for (const id of tokenizer.encodePlain('gre')) matcher.accept(id);
    const mask = matcher.mask(100);
    const bytes = (text: string) => Buffer.from(text);
    for (let id = 0; id < tokenizer.vocabSize; id++) {
      const token = tokenizer.tokenBytes(id);
      const fits = token !== null && words.some((word) => bytes(word).subarray(0, 3 + token.length).equals(Buffer.concat([bytes('gre'), token])));
      expect([id, allows(mask, id)]).toEqual([id, fits]);
    }
  });

  it('has the end of the answer where the text may end, and only there', () => {
    const matcher = compile({ type: 'regex', pattern: 'ab?' }).start();
    const [end] = tokenizer.eosIds;
    expect([allows(matcher.mask(9), end), matcher.complete, matcher.finished]).toEqual([false, false, false]);
    matcher.accept(tokenizer.encodePlain('a')[0]);
    expect([allows(matcher.mask(9), end), matcher.complete, matcher.finished]).toEqual([true, true, false]);
    matcher.accept(tokenizer.encodePlain('b')[0]);
    expect([matcher.complete, matcher.finished]).toEqual([true, true]);
  });

  it('never lets a control token through', () => {
    const mask = compile({ type: 'regex', pattern: '[^]*' }).start().mask(50);
    for (const token of ['<|im_start|>']) expect(allows(mask, tokenizer.encode(token)[0])).toBe(false);
  });
});

describe('what cannot be enforced is refused by its name and place', () => {
  it.each([
    [{ items: { type: 'array', uniqueItems: true } }, '/items/uniqueItems', /uniqueItems/],
    [{ properties: { a: { unevaluatedProperties: false } } }, '/properties/a/unevaluatedProperties', /unevaluatedProperties/],
    [{ properties: { a: { format: 'idn-email', type: 'string' } } }, '/properties/a/format', /idn-email/],
    [{ type: 'string', pattern: '(?<=a)b' }, '/pattern', /look-behind/],
    [{ type: 'string', pattern: '(' }, '/pattern', /pattern/],
    [{ $ref: 'https://example.com/other.json' }, '/$ref', /nothing is fetched/],
    [{ $ref: '#/$defs/none' }, '/$ref', /leads to nothing/],
    [{ $ref: '#' }, '/$ref', /back to itself/],
    [{ properties: { a: { type: 'strin' } } }, '/properties/a/type', /type/],
    [{ oneOf: [{ type: 'array', items: { type: 'integer' } }, { type: 'array', items: { minimum: 3 } }] }, '/oneOf', /overlaps/],
    [{ dependencies: { a: ['b'] } }, '/dependencies', /dependentRequired/],
    [{ $schema: 'https://example.com/mine' }, '/$schema', /not known/],
    [{ type: 'object', minProperties: 2 }, '/minProperties', /minProperties/],
    [{ type: 'integer', minimum: 3, maximum: 2 }, '', /nothing meets/],
    [false, '', /nothing meets/],
  ])('%j', (value, pointer, message) => {
    expect(refusal(schema(value))).toMatchObject({ pointer, message: expect.stringMatching(message) as string });
  });

  it.each([
    ['root ::= "a\nb"', 1, /missing before the line ends/],
    ['root ::= a\nb ::= "x"', 1, /no rule a/],
    ['root ::= "a"\nroot ::= "b"', 2, /twice/],
    ['root ::= ("a" | "b"\n', 2, /not closed/],
    ['root ::= [a-z] - "q"', 1, /exceptions/],
    ['root ::= root "a" | "a"', null, /left recursion/],
    ['root ::= "a" root', null, /nothing meets/],
  ])('%j', (grammar, line, message) => {
    expect(refusal({ type: 'grammar', grammar })).toMatchObject({ line, message: expect.stringMatching(message) as string });
  });

  it('a regular expression that is none', () => {
    expect(refusal({ type: 'regex', pattern: 'a)(b' }).message).toMatch(/not a regular expression/);
  });
});

describe('an answer that was drawn freely', () => {
  it('is mended where that helps, and told as mended', () => {
    const { masks, validate } = compile({ ...schema({ type: 'object', required: ['a'], properties: { a: { type: 'integer' } } }), enforce: 'repair' });
    expect(masks).toBe(false);
    expect(validate('{"a": 1}')).toEqual({ valid: true, reason: null });
    expect(validate("{a: 1,")).toEqual({ valid: true, reason: null, repaired: '{"a": 1}' });
    expect(validate('{a: "x"}').valid).toBe(false);
  });
});
