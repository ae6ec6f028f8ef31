/**
 * What a set of schemas that must all hold comes to: a list of shapes, one of which a value has. A shape knows its types and the schemas whose own
 * keywords (properties, minimum, …) say more; references, allOf, anyOf, oneOf, not, if and dependencies are worked out here. Not here: the keywords
 * of a type (texts.ts, objects.ts, arrays.ts), and whether a shape has a value at all (empty.ts).
 */
import type { Document, Draft, Schema, SchemaObject } from './document.ts';

/** Numbers come in two: whole, and those with a fraction. */
export type Type = 'null' | 'boolean' | 'string' | 'integer' | 'fraction' | 'array' | 'object';
const TYPES: Type[] = ['null', 'boolean', 'string', 'integer', 'fraction', 'array', 'object'];

export type Shape = {
  types: Type[];
  parts: SchemaObject[];
  /** One of these; null: any. */
  values: unknown[] | null;
  /** None of these. */
  excluded: unknown[];
};

/** What negations are written with, beside the keywords there are: types and values left out, and patterns not found. */
export const NOT_TYPE = '\0notType', NOT_VALUES = '\0notValues', NOT_PATTERN = '\0notPattern';

/** Alternatives of one place; beyond it the schema is refused. */
const MOST_SHAPES = 400;
const UNSUPPORTED: Record<string, string> = {
  $dynamicRef: 'dynamic references are not followed: use $ref',
  $recursiveRef: 'recursive references are not followed: use $ref',
  unevaluatedItems: 'what was evaluated elsewhere is not known while a text is written: use items',
  unevaluatedProperties: 'what was evaluated elsewhere is not known while a text is written: use additionalProperties',
};
/** Keywords that the other draft has: by its own they would say nothing. */
const FOREIGN: Record<Draft, Record<string, string>> = {
  'draft-07': { prefixItems: 'items', dependentRequired: 'dependencies', dependentSchemas: 'dependencies', minContains: 'contains', maxContains: 'contains' },
  '2020-12': { additionalItems: 'prefixItems and items', dependencies: 'dependentRequired or dependentSchemas' },
};
const ANY: Shape = { types: TYPES, parts: [], values: null, excluded: [] };

export type Shapes = {
  /** Of what meets all the schemas. */
  of(schemas: Schema[]): Shape[];
  negate(schema: Schema): Schema;
};

/** @param isDisjoint whether no value meets both, as far as can be seen */
export function createShapes(document: Document, isDisjoint: (a: Schema, b: Schema) => boolean): Shapes {
  const known = new Map<SchemaObject, Shape[] | 'open'>();
  const negated = new Map<SchemaObject, Schema>();
  const { derive, refuse, draft } = document;

  function of(schemas: Schema[]): Shape[] {
    return schemas.reduce<Shape[]>((shapes, schema) => product(shapes, shapesOf(schema), schema), [ANY]);
  }

  function product(a: Shape[], b: Shape[], at: Schema): Shape[] {
    if (a.length * b.length > MOST_SHAPES) {
      const schema = at as SchemaObject;
      refuse(schema, ['anyOf', 'oneOf', 'if', 'not', 'dependentRequired', 'dependencies'].find((keyword) => keyword in schema) ?? 'allOf', `it stands for more than ${MOST_SHAPES} alternatives: write fewer`);
    }
    return a.flatMap((one) => b.flatMap((other) => intersect(one, other) ?? []));
  }

  function shapesOf(schema: Schema): Shape[] {
    if (typeof schema === 'boolean') return schema ? [ANY] : [];
    const found = known.get(schema);
    if (found === 'open') return refuse(schema, '$ref' in schema ? '$ref' : 'allOf', 'it leads back to itself with no value in between');
    if (found) return found;
    known.set(schema, 'open');
    const shapes = expand(schema);
    known.set(schema, shapes);
    return shapes;
  }

  function expand(schema: SchemaObject): Shape[] {
    if (draft === 'draft-07' && typeof schema.$ref === 'string' && '$id' in schema) refuse(schema, '$id', 'beside $ref it means nothing in draft 7, and readers disagree: take it out');
    if (draft === 'draft-07' && typeof schema.$ref === 'string') return shapesOf(document.resolve(schema, '$ref', schema.$ref)); // its neighbours mean nothing there
    for (const [keyword, why] of Object.entries(UNSUPPORTED)) if (keyword in schema && schema[keyword] !== true) refuse(schema, keyword, why);
    for (const [keyword, instead] of Object.entries(FOREIGN[draft])) if (keyword in schema) refuse(schema, keyword, `it is not a keyword of ${draft}: write ${instead}, or name the draft in $schema`);
    let shapes = own(schema);
    const and = (more: Shape[]): void => void (shapes = product(shapes, more, schema));
    const union = (schemas: Schema[]): Shape[] => schemas.flatMap(shapesOf);
    if (typeof schema.$ref === 'string') and(shapesOf(document.resolve(schema, '$ref', schema.$ref)));
    if (schema.allOf !== undefined) for (const one of schema.allOf as Schema[]) and(shapesOf(one));
    if (schema.anyOf !== undefined) and(union(schema.anyOf as Schema[]));
    if (schema.oneOf !== undefined) and(oneOf(schema, schema.oneOf as Schema[]));
    if (schema.not !== undefined) and(shapesOf(negate(schema.not as Schema)));
    if (schema.if !== undefined && (schema.then !== undefined || schema.else !== undefined)) {
      const holds = of([schema.if as Schema, (schema.then ?? true) as Schema]);
      and([...holds, ...of([negate(schema.if as Schema), (schema.else ?? true) as Schema])]);
    }
    for (const [name, asked] of dependencies(schema)) {
      const without = derive(schema, { properties: { [name]: false } });
      const names = Array.isArray(asked) ? (asked as string[]) : [];
      const withIt = derive(schema, { type: 'object', required: [name, ...names] });
      and([...shapesOf(without), ...of([withIt, Array.isArray(asked) ? true : (asked as Schema)])]);
    }
    return shapes;
  }

  /** The schema's own keywords, which say something of one type each. */
  function own(schema: SchemaObject): Shape[] {
    let types = TYPES;
    if (schema.type !== undefined) {
      const named = [schema.type].flat() as string[];
      types = TYPES.filter((type) => named.includes(type) || (named.includes('number') && (type === 'integer' || type === 'fraction')));
    }
    const notTypes = schema[NOT_TYPE] as Type[] | undefined;
    if (notTypes) types = types.filter((type) => !notTypes.includes(type));
    let values: unknown[] | null = null;
    if (schema.enum !== undefined) values = schema.enum as unknown[];
    if (Object.hasOwn(schema, 'const')) values = values === null ? [schema.const] : values.filter((value) => isEqual(value, schema.const));
    const shape = { types, parts: [schema], values, excluded: (schema[NOT_VALUES] as unknown[] | undefined) ?? [] };
    return narrow(shape) ?? [];
  }

  function oneOf(schema: SchemaObject, alternatives: Schema[]): Shape[] {
    return alternatives.flatMap((one, i) => {
      const overlapping = alternatives.filter((other, j) => j !== i && !isDisjoint(one, other));
      try {
        return of([one, ...overlapping.map(negate)]);
      } catch (error) {
        if (overlapping.length === 0) throw error;
        return refuse(schema, 'oneOf', `alternative ${i} overlaps with alternative ${alternatives.indexOf(overlapping[0])} in a way that cannot be told apart: use anyOf, or give each a property that only it can have`);
      }
    });
  }

  function dependencies(schema: SchemaObject): [string, unknown][] {
    const all = [schema.dependentRequired, schema.dependentSchemas, draft === 'draft-07' ? schema.dependencies : undefined];
    return all.flatMap((one) => (one === undefined ? [] : Object.entries(one as SchemaObject)));
  }

  function negate(schema: Schema): Schema {
    if (typeof schema === 'boolean') return !schema;
    const made = negated.get(schema) ?? derive(schema, { anyOf: negations(schema) });
    negated.set(schema, made);
    return made;
  }

  /** Each says that one keyword does not hold. */
  function negations(schema: SchemaObject): Schema[] {
    if (typeof schema.$ref === 'string' && draft === 'draft-07') return [negate(document.resolve(schema, '$ref', schema.$ref))];
    return Object.entries(schema).flatMap(([keyword, value]): Schema[] => {
      const say = (said: SchemaObject): SchemaObject => derive(schema, said);
      const count = value as number;
      switch (keyword) {
        case 'type': {
          const named = [value].flat() as string[];
          return [say({ [NOT_TYPE]: TYPES.filter((type) => named.includes(type) || (named.includes('number') && (type === 'integer' || type === 'fraction'))) })];
        }
        case 'const': return [say({ [NOT_VALUES]: [value] })];
        case 'enum': return [say({ [NOT_VALUES]: value })];
        case NOT_TYPE: return [say({ type: (value as Type[]).map((type) => (type === 'fraction' ? 'number' : type)) })];
        case NOT_VALUES: return [say({ enum: value })];
        case NOT_PATTERN: return [say({ type: 'string', pattern: value })];
        case 'pattern': return [say({ type: 'string', [NOT_PATTERN]: value })];
        case 'minLength': return count === 0 ? [] : [say({ type: 'string', maxLength: count - 1 })];
        case 'maxLength': return [say({ type: 'string', minLength: count + 1 })];
        case 'minimum': return [say({ type: 'number', exclusiveMaximum: value })];
        case 'maximum': return [say({ type: 'number', exclusiveMinimum: value })];
        case 'exclusiveMinimum': return [say({ type: 'number', maximum: value })];
        case 'exclusiveMaximum': return [say({ type: 'number', minimum: value })];
        case 'minItems': return count === 0 ? [] : [say({ type: 'array', maxItems: count - 1 })];
        case 'maxItems': return [say({ type: 'array', minItems: count + 1 })];
        case 'minProperties': return count === 0 ? [] : [say({ type: 'object', maxProperties: count - 1 })];
        case 'maxProperties': return [say({ type: 'object', minProperties: count + 1 })];
        case 'required': return (value as string[]).map((name) => say({ type: 'object', properties: { [name]: false } }));
        case 'properties': return Object.entries(value as Record<string, Schema>).map(([name, of]) => say({ type: 'object', required: [name], properties: { [name]: negate(of) } }));
        case 'allOf': return (value as Schema[]).map(negate);
        case 'anyOf': return [say({ allOf: (value as Schema[]).map(negate) })];
        case 'not': return [value as Schema];
        case '$ref': return [negate(document.resolve(schema, '$ref', value as string))];
        case 'additionalProperties': case 'patternProperties': case 'propertyNames': case 'items': case 'prefixItems': case 'additionalItems': case 'contains':
        case 'uniqueItems': case 'multipleOf': case 'format': case 'oneOf': case 'if': case 'dependencies': case 'dependentRequired': case 'dependentSchemas':
        case '$dynamicRef': case 'unevaluatedItems': case 'unevaluatedProperties':
          return refuse(schema, keyword, 'what does not meet it cannot be enforced, as a not, an if or a oneOf around it asks for');
        default: return []; // says nothing of values
      }
    });
  }

  return { of, negate };
}

function intersect(a: Shape, b: Shape): Shape[] | null {
  const types = a.types.filter((type) => b.types.includes(type));
  const values = a.values === null ? b.values : b.values === null ? a.values : a.values.filter((value) => b.values!.some((other) => isEqual(value, other)));
  return narrow({ types, values, parts: [...new Set([...a.parts, ...b.parts])], excluded: [...a.excluded, ...b.excluded] });
}

/** Only values of the types, only types of the values; null when nothing is left. */
function narrow({ types, parts, values, excluded }: Shape): Shape[] | null {
  if (values !== null) {
    values = values.filter((value) => types.includes(typeOf(value)) && !excluded.some((other) => isEqual(value, other)));
    types = types.filter((type) => values!.some((value) => typeOf(value) === type));
  }
  return types.length === 0 ? null : [{ types, parts, values, excluded }];
}

export function typeOf(value: unknown): Type {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'fraction';
  return typeof value as Type;
}

export function isEqual(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && isEqual((a as SchemaObject)[key], (b as SchemaObject)[key]));
}
