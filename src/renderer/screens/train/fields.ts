/**
 * The fields of a recipe as a form needs them, read off shared/recipe.ts: path, kind, default, range, choices, one-line help.
 * Nothing about a single field stands here: a field added to the schema is in the form. Where it is shown is layout.ts's.
 */
import { z } from 'zod';
import { Recipe } from '../../../shared/recipe.ts';

// the window's content policy lets nothing be evaluated; without this zod tries, and the browser complains
z.config({ jitless: true });

export type Method = Recipe['method'];

export type Field = {
  path: string[];
  /** `optimizer.learningRate` */
  key: string;
  /** `group`: fields of their own that can be switched off as a whole (null); `sorts`, `list-of-sorts`: fields by a type (rewards); `other`: only the YAML view can edit it. */
  kind: 'number' | 'integer' | 'boolean' | 'choice' | 'text' | 'json' | 'list' | 'group' | 'sorts' | 'list-of-sorts' | 'other';
  required: boolean;
  /** Undefined where there is none. */
  standard: unknown;
  range: { minimum?: number; exclusiveMinimum?: number; maximum?: number; exclusiveMaximum?: number };
  /** Of a list: what its elements may be. */
  choices: string[];
  /** English, one line; may be empty. */
  description: string;
};

const SCHEMAS = new Map(Recipe.options.map((option) => [option.shape.method.value as Method, option]));
const fields = new Map([...SCHEMAS].map(([method, schema]) => [method, walk(z.toJSONSchema(schema, { io: 'input' }) as Node, [])]));

export const METHODS: Method[] = [...SCHEMAS.keys()];
export const isMethod = (value: unknown): value is Method => SCHEMAS.has(value as Method);

export function fieldsOf(method: Method): Field[] {
  return fields.get(method)!;
}

/** Throws nothing: what is wrong comes as issues. */
export function checkAgainstSchema(method: Method, value: unknown): { recipe: Recipe | null; issues: z.core.$ZodIssue[] } {
  const parsed = SCHEMAS.get(method)!.safeParse(value);
  return parsed.success ? { recipe: parsed.data, issues: [] } : { recipe: null, issues: parsed.error.issues };
}

/** Fields of a schema that is a part of a recipe, `at` where it stands. */
export function fieldsOfPart(schema: z.ZodType, at: string[]): Field[] {
  return walk(z.toJSONSchema(schema, { io: 'input' }) as Node, at);
}

/** What this file reads of a JSON schema. */
type Node = Field['range'] & {
  type?: string;
  properties?: Record<string, Node>;
  required?: string[];
  anyOf?: Node[];
  items?: Node;
  oneOf?: unknown[];
  enum?: string[];
  default?: unknown;
  description?: string;
};

function walk(object: Node, at: string[]): Field[] {
  return Object.entries(object.properties ?? {}).flatMap(([name, node]) => {
    const path = [...at, name];
    if (path.join() === 'method') return [];
    if (node.type === 'object' && node.properties) return walk(node, path);
    const optional = node.anyOf?.find(({ type }) => type === 'object');
    const field: Field = {
      path,
      key: path.join('.'),
      kind: optional ? 'group' : kindOf(node),
      required: object.required?.includes(name) ?? false,
      standard: node.default,
      range: rangeOf(node),
      choices: node.enum ?? node.items?.enum ?? [],
      description: node.description ?? '',
    };
    return optional ? [field, ...walk(optional, path)] : [field];
  });
}

function kindOf(node: Node): Field['kind'] {
  if (node.enum) return 'choice';
  if (node.anyOf?.some(({ oneOf }) => oneOf)) return 'sorts';
  if (node.type === 'array' && node.items?.oneOf) return 'list-of-sorts';
  if (node.type === 'array') return node.items?.type === 'string' ? 'list' : 'other';
  return ({ number: 'number', integer: 'integer', boolean: 'boolean', string: 'text', object: 'json' } as const)[node.type ?? ''] ?? 'other';
}

/** Bounds a person set; those of whole numbers as such (2⁵³) say nothing. */
function rangeOf(node: Node): Field['range'] {
  const names = ['minimum', 'exclusiveMinimum', 'maximum', 'exclusiveMaximum'] as const;
  return Object.fromEntries(names.flatMap((name) => (node[name] !== undefined && Math.abs(node[name]) < Number.MAX_SAFE_INTEGER ? [[name, node[name]]] : [])));
}

/** The group that has to be on for a field to count: `lora` for `lora.r`. */
export function groupOf(field: Field, all: Field[]): Field | null {
  return all.find(({ kind, path }) => kind === 'group' && path.length < field.path.length && path.every((part, i) => part === field.path[i])) ?? null;
}
