/**
 * Constraints at large: every schema of the JSON-Schema-Test-Suite and of maskbench is enforced exactly or refused by name, and a thousand answers of the
 * embedded model under each kind of constraint are all valid. The schemas are read from ../shared/assets and skipped where it is absent. Minutes.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { createNativeDevice } from '../../src/engine/device/native.ts';
import type { LanguageModel } from '../../src/engine/model/language-model.ts';
import { openModel } from '../../src/engine/open-model.ts';
import { createRandom } from '../../src/engine/random.ts';
import { compileConstraint } from '../../src/engine/sampling/constraint/compile.ts';
import { ConstraintError } from '../../src/engine/sampling/constraint/constraint.ts';
import type { Schema } from '../../src/engine/sampling/constraint/json-schema/document.ts';
import { createTaker, drawText } from '../../src/engine/sampling/constraint/testing.ts';
import { generate } from '../../src/engine/sampling/generate.ts';
import { loadTokenizer, type Tokenizer } from '../../src/engine/tokenizer/tokenizer.ts';
import { Constraint } from '../../src/shared/constraint.ts';
import { Sampling } from '../../src/shared/sampling.ts';
import { ROOT } from '../attune.ts';

const assets = resolve(ROOT, '../shared/assets/json-schema');
const folder = join(ROOT, 'resources/models/attune-base');
let tokenizer: Tokenizer;
let model: LanguageModel;
beforeAll(async () => {
  tokenizer = await loadTokenizer(folder);
  ({ model } = await openModel(createNativeDevice(0), { folder }, tokenizer, { storage: 'bf16-if-stored', trainable: 'none' }));
});

type Case = { name: string; schema: Schema; tests: { description: string; data: unknown; valid: boolean }[] };

const read = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'));
const jsonFiles = (path: string): string[] => readdirSync(path).filter((name) => name.endsWith('.json')).sort();

/** Files of one draft, or of a folder in it; draft 7's schemas do not say which draft they are of. */
function suite(path: string): Case[] {
  const declared = path.startsWith('draft7') ? { $schema: 'http://json-schema.org/draft-07/schema#' } : {};
  return jsonFiles(join(assets, 'test-suite', path)).flatMap((file) =>
    (read(join(assets, 'test-suite', path, file)) as (Omit<Case, 'name'> & { description: string })[]).map(({ description, schema, tests }) => ({
      name: `${file}: ${description}`, tests, schema: typeof schema === 'object' ? { ...declared, ...schema } : schema,
    })));
}

const maskbench = (): Case[] => jsonFiles(join(assets, 'maskbench')).map((name) => ({ name, ...(read(join(assets, 'maskbench', name)) as Omit<Case, 'name'>) }));

/** What is wrong with how a schema is enforced; null: it is refused. */
function check({ name, schema, tests }: Case): string[] | null {
  let compiled;
  try {
    compiled = compileConstraint({ type: 'jsonSchema', schema, enforce: 'mask' }, tokenizer);
  } catch (error) {
    if (!(error instanceof ConstraintError) || error.pointer === null) throw error;
    return error.message.startsWith('nothing meets') ? tests.filter(({ valid }) => valid).map(({ description }) => `${name}: nothing meets it, but ${description}`) : null;
  }
  const takes = createTaker(schema);
  const wrong = tests.filter(({ data, valid }) => takes(data) !== valid).map(({ description, valid }) => `${name}: ${valid ? 'not taken' : 'taken'}: ${description}`);
  const random = createRandom(11);
  for (const budget of [20, 80, 160]) {
    const { text, complete } = drawText(compiled, tokenizer, random.next, Math.max(budget, compiled.fewestTokens));
    const { valid, reason } = compiled.validate(text);
    if (!valid || !complete) wrong.push(`${name}: ${reason}: ${text}`);
  }
  return wrong;
}

describe.skipIf(!existsSync(assets))('every schema is enforced exactly or refused by name (skipped where ../shared/assets is absent)', () => {
  it.each([
    // a format is asserted here, which the suite calls only an annotation in format.json
    ['the test suite, draft 2020-12', () => suite('draft2020-12').filter(({ name }) => !name.startsWith('format.json')), 220],
    ['the test suite, draft 7', () => suite('draft7').filter(({ name }) => !name.startsWith('format.json')), 180],
    ['maskbench', maskbench, 265],
  ])('%s', (_, cases, enforced) => {
    const all = cases();
    const found = all.map(check);
    expect(found.flatMap((wrong) => wrong ?? [])).toEqual([]);
    const refused = found.filter((wrong) => wrong === null).length;
    console.log(`${all.length} schemas: ${all.length - refused} enforced, ${refused} refused by name`);
    expect(all.length - refused).toBeGreaterThanOrEqual(enforced);
  }, 1_800_000);
});

describe('a thousand answers of the embedded model are all valid', () => {
  const schema = (value: unknown) => ({ type: 'jsonSchema', schema: value });
  const object = (properties: object, more: object = {}) => schema({ type: 'object', properties, required: Object.keys(properties), additionalProperties: false, ...more });
  it.each<[string, unknown]>([
    ['choices', { type: 'choices', choices: ['yes', 'no', 'it depends', '모름'] }],
    ['a regular expression of classes and counts', { type: 'regex', pattern: '[A-Z][a-z]{1,9}( [a-z]{1,9}){0,6}[.!?]' }],
    ['a regular expression with look-ahead', { type: 'regex', pattern: '(?=.*[0-9])[a-z0-9]{4,12}' }],
    ['any JSON object', { type: 'jsonObject' }],
    ['a schema: strings and formats', object({ a: { type: 'string', minLength: 2, maxLength: 9 }, b: { type: 'string', format: 'date-time' }, c: { type: 'string', pattern: '^x+y?$' } })],
    ['a schema: numbers', object({ a: { type: 'integer', minimum: -5, maximum: 12 }, b: { type: 'number', exclusiveMinimum: 0, maximum: 1.5 }, c: { type: 'integer', multipleOf: 7 } })],
    ['a schema: arrays', object({ a: { type: 'array', prefixItems: [{ type: 'boolean' }], items: { type: 'integer' }, minItems: 2, maxItems: 5 }, b: { type: 'array', items: { enum: ['p', 'q', 'r'] }, uniqueItems: true } })],
    ['a schema: contains', schema({ type: 'array', items: { type: 'integer', minimum: 0, maximum: 99 }, contains: { const: 7 }, maxItems: 9 })],
    ['a schema: names by pattern', schema({ type: 'object', patternProperties: { '^n_': { type: 'integer' }, '^s_': { type: 'boolean' } }, additionalProperties: false, minProperties: 1, maxProperties: 3 })],
    ['a schema: alternatives and conditions', schema({ type: 'object', properties: { kind: { enum: ['a', 'b'] }, n: { type: 'integer' } }, required: ['kind'], additionalProperties: false, if: { properties: { kind: { const: 'a' } } }, then: { required: ['n'] }, else: { properties: { n: false } } })],
    ['a schema that recurs', schema({ $ref: '#/$defs/tree', $defs: { tree: { type: 'object', properties: { v: { type: 'boolean' }, kids: { type: 'array', items: { $ref: '#/$defs/tree' } } }, required: ['v'], additionalProperties: false } } })],
    ['a grammar', { type: 'grammar', grammar: 'root ::= term (" " [-+*/] " " term)*\nterm ::= [0-9]{1,3} | "(" root ")"' }],
    ['free text, then a schema', { ...schema({ type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'], additionalProperties: false }), after: '</think>' }],
  ])('%s', async (_, value) => {
    const constraint = compileConstraint(Constraint.parse(value), tokenizer);
    const prompt = tokenizer.encode('<|im_start|>user\nTell me something.<|im_end|>\n<|im_start|>assistant\n');
    const wrong: string[] = [];
    let answers = 0;
    for (const [round, maxTokens] of [constraint.fewestTokens + 1, 24, 64, 96].entries()) {
      const sampling = Sampling.parse({ temperature: 1.3, seed: round, maxTokens: Math.max(maxTokens, constraint.fewestTokens) });
      const prompts = Array.from({ length: 250 }, () => prompt);
      for await (const event of generate(model, tokenizer, prompts, sampling, { batchSize: 50, cancelled: () => false, constraint })) {
        if (event.type !== 'completion') continue;
        answers++;
        const { valid, reason } = constraint.validate(event.text);
        if (!valid) wrong.push(`${reason}: ${event.text}`);
      }
    }
    expect({ answers, wrong }).toEqual({ answers: 1000, wrong: [] });
  }, 900_000);
});
