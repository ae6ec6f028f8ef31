/**
 * What the keywords of objects come to. Declared names come in the order the schema has them, each at most once, then the others; the value of each
 * meets every schema that any part has for its name.
 */
import { alternatives, automaton, type Expression, NEVER, repeat, rule, type Rules, sequence, text } from '../expression.ts';
import { pair, SPACE } from '../json.ts';
import { automatonOf, both, contains, either, everything, isEmpty, type Language, not, wordsOf } from '../language.ts';
import type { Document, Schema, SchemaObject } from './document.ts';
import type { Scalars } from './scalars.ts';
import type { Shape, Shapes } from './shapes.ts';

/** Of patternProperties in one object: names are told apart by every combination. */
const MOST_PATTERNS = 5;
/** Of counted places in one object or array. */
export const MOST_COUNTED = 4000;

export type Objects = {
  /** The schemas for a name's value. */
  schemasFor(shape: Shape, name: string): Schema[];
  required(shape: Shape): string[];
  /** `name` is the rule's own, for the rules it is made of. */
  expression(shape: Shape, name: string, rules: Rules, valueOf: (schemas: Schema[]) => Expression): Expression;
};

export function createObjects(document: Document, shapes: Shapes, scalars: Scalars): Objects {
  const { refuse } = document;
  const has = (part: SchemaObject, keyword: string, name: string): boolean => typeof part[keyword] === 'object' && Object.hasOwn(part[keyword] as object, name);
  const patternsOf = (part: SchemaObject): string[] => Object.keys((part.patternProperties as SchemaObject | undefined) ?? {});

  function schemasFor({ parts }: Shape, name: string): Schema[] {
    return parts.flatMap((part): Schema[] => {
      const found: Schema[] = has(part, 'properties', name) ? [(part.properties as Record<string, Schema>)[name]] : [];
      for (const source of patternsOf(part)) {
        if (contains(scalars.pattern(part, 'patternProperties', source), name)) found.push((part.patternProperties as Record<string, Schema>)[source]);
      }
      if (found.length === 0 && part.additionalProperties !== undefined) found.push(part.additionalProperties as Schema);
      return found;
    });
  }

  const required = ({ parts }: Shape): string[] => [...new Set(parts.flatMap((part) => (part.required as string[] | undefined) ?? []))];

  /** What propertyNames lets through; null: any. */
  function nameLanguage({ parts }: Shape): Language | null {
    let language: Language | null = null;
    for (const part of parts) {
      if (part.propertyNames === undefined || part.propertyNames === true) continue;
      let names: Language | null = null;
      for (const shape of shapes.of([part.propertyNames as Schema])) {
        if (!shape.types.includes('string')) continue;
        const { language: told, min, max } = scalars.strings(shape);
        let one = shape.values ? wordsOf(shape.values.filter((value): value is string => typeof value === 'string' && scalars.fits(shape, value))) : (told ?? everything());
        if (min > 0 || max < Infinity) one = both(one, scalars.pattern(part, 'propertyNames', `^[^]{${min},${max === Infinity ? '' : max}}$`));
        names = names === null ? one : either(names, one);
      }
      names ??= not(everything());
      language = language === null ? names : both(language, names);
    }
    return language;
  }

  function expression(shape: Shape, name: string, rules: Rules, valueOf: (schemas: Schema[]) => Expression): Expression {
    const { parts } = shape;
    const needed = required(shape);
    const names = nameLanguage(shape);
    const known = [...new Set([...parts.flatMap((part) => Object.keys((part.properties as SchemaObject | undefined) ?? {})), ...needed])];
    const declared = known
      .filter((one) => names === null || contains(names, one))
      .map((one) => ({ name: one, schemas: schemasFor(shape, one), required: needed.includes(one) }))
      .filter(({ schemas, required: must }) => must || !schemas.includes(false));
    if (declared.filter((one) => one.required).length < needed.length) return NEVER;
    const free = freePairs(shape, known, names, valueOf);

    const asked = Math.max(0, ...parts.map((part) => (part.minProperties as number | undefined) ?? 0));
    const least = asked > needed.length ? asked : 0; // the required ones are there anyhow
    const most = Math.min(Infinity, ...parts.map((part) => (part.maxProperties as number | undefined) ?? Infinity));
    if (least > most) return NEVER;
    if (free !== NEVER && least > needed.length + 1) {
      const part = parts.find(({ minProperties }) => minProperties === least)!;
      refuse(part, 'minProperties', 'names that are not declared may come twice and are not counted apart: declare and require them, or set additionalProperties to false');
    }
    // how many came before is told apart up to here: one, for the comma, where nothing is counted
    const counted = most < (free === NEVER ? declared.length : Infinity) ? most : Math.max(1, least);
    if (counted * (declared.length + 1) > MOST_COUNTED) refuse(parts.find((part) => part.maxProperties !== undefined || part.minProperties !== undefined)!, most < Infinity ? 'maxProperties' : 'minProperties', 'too many to be counted');
    const comma = sequence(text(','), rule(SPACE));
    const place = (i: number, count: number): string => `${name}.${i}.${count}`;
    for (let i = declared.length; i >= 0; i--) {
      for (let count = 0; count <= counted; count++) {
        const left = most === Infinity ? Infinity : most - count;
        if (i === declared.length) {
          const fewest = Math.max(0, least - count);
          const following = sequence(comma, free, rule(SPACE));
          let rest: Expression;
          if (free === NEVER || left <= 0) rest = fewest > 0 ? NEVER : text('');
          else if (fewest > 1) rest = NEVER;
          else if (count > 0) rest = repeat(following, fewest, left);
          else {
            const some = sequence(free, rule(SPACE), repeat(following, 0, left - 1));
            rest = fewest > 0 ? some : alternatives([text(''), some]);
          }
          rules.set(place(i, count), rest);
          continue;
        }
        const { name: key, schemas, required: must } = declared[i];
        const ways: Expression[] = must ? [] : [rule(place(i + 1, count))];
        if (left > 0) ways.push(sequence(...(count > 0 ? [comma] : []), pair(text(JSON.stringify(key)), valueOf(schemas)), rule(SPACE), rule(place(i + 1, Math.min(count + 1, counted)))));
        rules.set(place(i, count), alternatives(ways));
      }
    }
    return sequence(text('{'), rule(SPACE), rule(place(0, 0)), text('}'));
  }

  /** A name that is not known, with its value. */
  function freePairs({ parts }: Shape, known: string[], names: Language | null, valueOf: (schemas: Schema[]) => Expression): Expression {
    const patterns = [...new Set(parts.flatMap(patternsOf))];
    const languages = patterns.map((source) => scalars.pattern(parts.find((part) => patternsOf(part).includes(source))!, 'patternProperties', source));
    if (patterns.length > MOST_PATTERNS) refuse(parts.find((part) => patternsOf(part).length > 0)!, 'patternProperties', `more than ${MOST_PATTERNS} patterns for the names of one object are not told apart`);
    let others: Language | null = names;
    if (known.length > 0) others = both(others ?? everything(), not(wordsOf(known)));
    const ways: Expression[] = [];
    for (let set = 0; set < 1 << patterns.length; set++) {
      const matches = (source: string): boolean => ((set >> patterns.indexOf(source)) & 1) === 1;
      const schemas = parts.flatMap((part): Schema[] => {
        const found = patternsOf(part).filter(matches).map((source) => (part.patternProperties as Record<string, Schema>)[source]);
        return found.length > 0 || part.additionalProperties === undefined ? found : [part.additionalProperties as Schema];
      });
      if (schemas.includes(false)) continue;
      let language = others;
      patterns.forEach((source, i) => (language = both(language ?? everything(), matches(source) ? languages[i] : not(languages[i]))));
      if (language !== null && isEmpty(language)) continue;
      ways.push(pair(sequence(text('"'), automaton(automatonOf(language ?? everything()), true), text('"')), valueOf(schemas)));
    }
    return ways.length === 0 ? NEVER : alternatives(ways);
  }

  return { schemasFor, required, expression };
}
