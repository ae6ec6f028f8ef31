/** The panel's texts and the contract's shape say the same, and a refused part is found in the text. */
import { describe, expect, it } from 'vitest';
import type { Constraint } from '../../../shared/constraint.ts';
import { draftOf, lineOf, readDraft } from './constraint-draft.ts';

describe('a draft', () => {
  it.each<Constraint>([
    { type: 'choices', choices: ['yes', 'no, never'] },
    { type: 'regex', pattern: '[a-z]+ ', after: '</think>' },
    { type: 'jsonObject', enforce: 'repair' },
    { type: 'jsonSchema', schema: { type: 'integer' }, enforce: 'mask' },
    { type: 'grammar', grammar: 'root ::= "a"\n' },
  ])('comes back as it was: %j', (constraint) => {
    expect(readDraft(draftOf(constraint))).toEqual(constraint);
  });

  it('asks for nothing while it is empty, and says why a text cannot be read', () => {
    expect(readDraft(draftOf(null))).toBeNull();
    expect(readDraft({ kind: 'choices', text: ' \n', after: '', repair: false })).toBeNull();
    expect(readDraft({ kind: 'jsonSchema', text: '{', after: '', repair: false })).toMatch(/JSON/);
    expect(readDraft({ kind: 'jsonSchema', text: '3', after: '', repair: false })).toEqual(expect.any(String));
  });
});

it('a refused part of a schema is found by its line', () => {
  const draft = draftOf({ type: 'jsonSchema', schema: { properties: { a: { type: 'array', uniqueItems: true } } }, enforce: 'mask' });
  const problem = { message: '', pointer: '/properties/a/uniqueItems', line: null };
  expect(draft.text.split('\n')[lineOf(problem, draft)! - 1]).toContain('uniqueItems');
  expect(lineOf({ ...problem, pointer: '' }, draft)).toBeNull();
  expect(lineOf({ ...problem, pointer: null, line: 3 }, draft)).toBe(3);
});
