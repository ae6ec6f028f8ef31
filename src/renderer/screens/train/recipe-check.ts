/**
 * What is wrong with a recipe's text, field by field: the schema's refusals as data (`problems`), with where in the text each stands.
 * The sentences people read are sentences.ts's.
 */
import type { z } from 'zod';
import type { Recipe } from '../../../shared/recipe.ts';
import { checkAgainstSchema, fieldsOf, isMethod, METHODS, type Method } from './fields.ts';
import { placeOf, readText, type RecipeText, valueAt } from './recipe-text.ts';
import { nearestName } from '../../../shared/nearest-name.ts';

export type Problem = { path: string[]; from: number; to: number } & (
  | { kind: 'syntax' | 'other'; message: string }
  | { kind: 'missing' | 'empty' | 'not-fields' }
  | { kind: 'expected'; what: 'number' | 'whole' | 'text' | 'boolean' | 'list' | 'fields' | 'json' }
  | { kind: 'range'; bound: '≥' | '>' | '≤' | '<'; limit: number }
  | { kind: 'too-long'; limit: number }
  | { kind: 'choice'; choices: string[] }
  | { kind: 'unknown'; name: string; near: string | null }
);

export type CheckedRecipe = RecipeText & {
  /** As given; sft while it is none of them. */
  method: Method;
  /** With its defaults; null while there is a problem. */
  recipe: Recipe | null;
  problems: Problem[];
};

export function checkRecipe(text: string): CheckedRecipe {
  const read = readText(text);
  const { document, value } = read;
  if (document.errors.length > 0) {
    const problems = document.errors.map(({ message, pos }): Problem => ({ kind: 'syntax', message, path: [], from: pos[0], to: pos[1] }));
    return { ...read, method: 'sft', recipe: null, problems };
  }
  if (value === null) return { ...read, method: 'sft', recipe: null, problems: [{ kind: 'not-fields', path: [], from: 0, to: text.length }] };
  if (!isMethod(value.method)) {
    const place = placeOf(document, ['method']);
    const problem: Problem = value.method === undefined ? { kind: 'missing', path: ['method'], ...place } : { kind: 'choice', choices: METHODS, path: ['method'], ...place };
    return { ...read, method: 'sft', recipe: null, problems: [problem] };
  }
  const { recipe, issues } = checkAgainstSchema(value.method, value);
  const problems = issues.flatMap((issue) => explain(issue, value, value.method as Method)).map((problem) => ({ ...problem, ...placeOf(document, problem.path, problem.kind === 'unknown') }));
  return { ...read, method: value.method, recipe, problems: (problems as Problem[]).sort((a, b) => a.from - b.from) };
}

type Without<P> = P extends Problem ? Omit<P, 'from' | 'to'> : never;

function explain(issue: z.core.$ZodIssue, root: unknown, method: Method): Without<Problem>[] {
  const path = issue.path.map(String);
  switch (issue.code) {
    case 'too_small':
      if (issue.origin !== 'number' && issue.origin !== 'int') return [{ kind: 'empty', path }];
      return [{ kind: 'range', bound: issue.inclusive ? '≥' : '>', limit: Number(issue.minimum), path }];
    case 'too_big':
      if (issue.origin !== 'number' && issue.origin !== 'int') return [{ kind: 'too-long', limit: Number(issue.maximum), path }];
      return [{ kind: 'range', bound: issue.inclusive ? '≤' : '<', limit: Number(issue.maximum), path }];
    case 'invalid_type': {
      const given = valueAt(root, path);
      if (given === undefined) return [{ kind: 'missing', path }];
      return [{ kind: 'expected', what: EXPECTED[issue.expected] ?? 'fields', path }];
    }
    case 'invalid_value':
      return [{ kind: 'choice', choices: issue.values.map(String), path }];
    case 'unrecognized_keys':
      return issue.keys.map((name) => ({ kind: 'unknown', name, near: nearest(name, method), path: [...path, name] }));
    case 'invalid_union':
      // one of several sorts of fields, told apart by one of them (a reward's type)
      if (issue.errors.length === 0) return [{ kind: 'choice', choices: 'options' in issue ? (issue.options as string[]).map(String) : [], path }];
      // null or fields: what the fields say is what helps
      return issue.errors.flat().flatMap((inner) => (inner.code === 'invalid_type' && inner.expected === 'null' ? [] : explain({ ...inner, path: [...issue.path, ...inner.path] }, root, method)));
    default:
      return [{ kind: 'other', message: issue.message, path }];
  }
}

const EXPECTED: Record<string, Extract<Problem, { kind: 'expected' }>['what']> = {
  int: 'whole', number: 'number', string: 'text', boolean: 'boolean', array: 'list', object: 'fields', record: 'json',
};

/** The field probably meant: another spelling (learning_rate), one a level deeper, or a letter or two off. */
function nearest(name: string, method: Method): string | null {
  return nearestName(name, fieldsOf(method), ({ path }) => path.at(-1)!)?.key ?? null;
}
