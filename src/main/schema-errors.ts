/**
 * A schema's refusal as sentences a person can act on: which field, what was expected, what came, and for an unknown field the one probably meant.
 * The ranges are the schema's; nothing of them is repeated here.
 */
import type { z } from 'zod';
import { nearestName } from '../shared/nearest-name.ts';

/** One sentence an issue, each beginning with the field. `schema` gives the names an unknown field is compared with. */
export function explainIssues(error: z.ZodError, value: unknown, schema: z.ZodObject): string[] {
  return error.issues.map((issue) => explain(issue, value, schema));
}

function explain(issue: z.core.$ZodIssue, root: unknown, schema: z.ZodObject): string {
  const field = issue.path.join('.');
  const got = describe(issue.path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key], root));
  switch (issue.code) {
    case 'too_small':
      return issue.origin === 'number' || issue.origin === 'int'
        ? `${field}: expected a number ${issue.inclusive ? '≥' : '>'} ${issue.minimum}, got ${got}`
        : `${field}: it is empty`;
    case 'too_big':
      return issue.origin === 'number' || issue.origin === 'int'
        ? `${field}: expected a number ${issue.inclusive ? '≤' : '<'} ${issue.maximum}, got ${got}`
        : `${field}: longer than ${issue.maximum}`;
    case 'invalid_type':
      return got === 'nothing' ? `${field}: missing` : `${field}: expected ${EXPECTED[issue.expected] ?? issue.expected}, got ${got}`;
    case 'invalid_value':
      return `${field}: expected ${issue.values.join(', ')}, got ${got}`;
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownField([...issue.path, key].join('.'), schema)).join('; ');
    default:
      return `${field}: ${issue.message}`;
  }
}

const EXPECTED: Record<string, string> = { int: 'a whole number', number: 'a number', string: 'a text', boolean: 'true or false', array: 'a list', object: 'fields' };

function describe(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string') return JSON.stringify(value);
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'fields';
  return String(value);
}

/** With the field that was probably meant: another spelling (learning_rate), or one that belongs a level deeper. */
function unknownField(field: string, schema: z.ZodObject): string {
  const last = (path: string): string => path.split('.').at(-1)!;
  const near = nearestName(last(field), fieldNames(schema), last);
  return near && near !== field ? `${field}: there is no such field; did you mean ${near}?` : `${field}: there is no such field`;
}

/** `optimizer.learningRate` and so on, from the schema itself. */
function fieldNames(schema: z.ZodObject, prefix = ''): string[] {
  return Object.entries(schema.shape).flatMap(([name, field]) => {
    let inner = field as z.ZodType & { unwrap?: () => z.ZodType; shape?: unknown };
    while (inner.unwrap && !inner.shape) inner = inner.unwrap() as typeof inner;
    return inner.shape ? fieldNames(inner as unknown as z.ZodObject, `${prefix}${name}.`) : [prefix + name];
  });
}
