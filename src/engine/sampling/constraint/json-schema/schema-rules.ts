/**
 * A JSON Schema as rules for exactly the documents that meet it, written in one order and one spelling; what cannot be enforced is refused by its name
 * and place. A rule stands for a set of schemas that must all hold, so that allOf and recursion need nothing of their own.
 *
 * Narrower than the schema, on purpose: declared properties come in the schema's order, formats are asserted, strings have no needless escapes,
 * and numbers under a bound are written without an exponent.
 */
import { ALL, alternatives, automaton, chars, type Expression, NEVER, repeat, rule, type Rules, sequence, text } from '../expression.ts';
import { ANY_NUMBER, jsonRules, literal, VALUE } from '../json.ts';
import { automatonOf, isEmpty } from '../language.ts';
import { createArrays } from './arrays.ts';
import { openDocument, type Schema } from './document.ts';
import { createObjects } from './objects.ts';
import { createScalars, noStrings } from './scalars.ts';
import { createShapes, type Shape, typeOf } from './shapes.ts';

/** How deep values are looked into for whether anything meets a schema. */
const DEEPEST = 6;

export function schemaRules(root: Schema): { rules: Rules; root: string } {
  const document = openDocument(root);
  const { refuse } = document;
  const shapes = createShapes(document, (a, b) => isImpossible([a, b], 0));
  const scalars = createScalars(document);
  const objects = createObjects(document, shapes, scalars);
  const arrays = createArrays(document, shapes, finite);
  const rules = jsonRules();

  const ids = new Map<Schema, number>();
  const idOf = (schema: Schema): number => {
    if (!ids.has(schema)) ids.set(schema, ids.size);
    return ids.get(schema)!;
  };
  const building: { name: string; schemas: Schema[] }[] = [];

  /** The rule of a value that meets all the schemas. */
  function valueOf(schemas: Schema[]): Expression {
    if (schemas.includes(false)) return NEVER;
    const telling = [...new Set(schemas.filter((schema) => schema !== true))];
    if (telling.length === 0) return rule(VALUE);
    const name = `schema ${telling.map(idOf).sort((a, b) => a - b).join('+')}`;
    if (!rules.has(name)) {
      rules.set(name, NEVER);
      building.push({ name, schemas: telling });
    }
    return rule(name);
  }

  function expressionOf(shape: Shape, name: string): Expression[] {
    const { types, values } = shape;
    if (values) return valuesOf(shape, values);
    const free = shape.excluded.length === 0;
    const ways: Expression[] = [];
    if (types.includes('null') && !shape.excluded.includes(null)) ways.push(text('null'));
    if (types.includes('boolean')) ways.push(...[true, false].filter((value) => !shape.excluded.includes(value)).map((value) => text(String(value))));
    if (types.includes('integer') || types.includes('fraction')) {
      const language = scalars.numbers(shape);
      ways.push(language === null ? ANY_NUMBER : automaton(automatonOf(language), false));
    }
    if (types.includes('string')) {
      const { language, min, max } = scalars.strings(shape);
      const inside = language === null ? repeat(chars(ALL, true), min, max) : automaton(automatonOf(language), true);
      if (min <= max) ways.push(sequence(text('"'), inside, text('"')));
    }
    for (const type of ['array', 'object'] as const) {
      if (!types.includes(type)) continue;
      if (!free && shape.excluded.some((value) => typeOf(value) === type)) refuse(shape.parts.at(-1)!, 'not', `that an ${type} is not one certain value cannot be enforced`);
      ways.push((type === 'array' ? arrays : objects).expression(shape, `${name} ${type}`, rules, valueOf));
    }
    return ways;
  }

  function valuesOf(shape: Shape, values: unknown[]): Expression[] {
    return values.filter((value) => meets(shape, value)).map(literal);
  }

  /** Whether a value of an enum meets the other keywords beside it. */
  function meets(shape: Shape, value: unknown): boolean {
    if (typeof value === 'string' || typeof value === 'number') return scalars.fits(shape, value);
    if (typeof value !== 'object' || value === null) return true;
    const telling = shape.parts.find((part) => (Array.isArray(value) ? ARRAY_KEYWORDS : OBJECT_KEYWORDS).some((keyword) => keyword in part));
    if (telling) refuse(telling, telling.enum !== undefined || telling.const === undefined ? 'enum' : 'const', 'objects and arrays in it beside keywords about their parts are not enforced: keep one of the two');
    return true;
  }

  function finite(schemas: Schema[]): unknown[] | null {
    const found: unknown[] = [];
    for (const shape of shapes.of(schemas)) {
      if (shape.values) found.push(...shape.values.filter((value) => meets(shape, value)));
      else if (shape.types.every((type) => type === 'null' || type === 'boolean')) {
        found.push(...(shape.types.includes('null') ? [null] : []), ...(shape.types.includes('boolean') ? [true, false] : []));
      } else return null;
    }
    const written = new Map(found.map((value) => [JSON.stringify(value), value]));
    return [...written.values()];
  }

  /** Whether nothing meets all the schemas, as far as can be seen; what cannot be enforced says nothing here. */
  function isImpossible(schemas: Schema[], depth: number): boolean {
    if (schemas.includes(false)) return true;
    if (depth > DEEPEST) return false;
    try {
      return shapes.of(schemas).every((shape) => (shape.values ? !shape.values.some((value) => meets(shape, value)) : shape.types.every((type) => isImpossibleType(shape, type, depth))));
    } catch {
      return false; // refused where it is enforced
    }
  }

  function isImpossibleType(shape: Shape, type: Shape['types'][number], depth: number): boolean {
    switch (type) {
      case 'null': case 'boolean': return false;
      case 'string': return noStrings(scalars.strings(shape));
      case 'integer': case 'fraction': {
        const language = scalars.numbers({ ...shape, types: [type] });
        return language !== null && isEmpty(language);
      }
      case 'array': return arrays.fewest(shape) > 0 && isImpossible(arrays.schemasFor(shape, 0), depth + 1);
      case 'object': return objects.required(shape).some((name) => isImpossible(objects.schemasFor(shape, name), depth + 1));
    }
  }

  const start = valueOf([root]);
  for (const { name, schemas } of building) rules.set(name, alternatives(shapes.of(schemas).flatMap((shape, i) => expressionOf(shape, `${name} ${i}`)))); // grows while it is gone through
  rules.set('root', start);
  return { rules, root: 'root' };
}

const ARRAY_KEYWORDS = ['items', 'prefixItems', 'additionalItems', 'contains', 'minItems', 'maxItems', 'uniqueItems'];
const OBJECT_KEYWORDS = ['properties', 'required', 'additionalProperties', 'patternProperties', 'propertyNames', 'minProperties', 'maxProperties'];
