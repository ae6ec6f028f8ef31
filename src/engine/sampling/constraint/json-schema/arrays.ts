/** What the keywords of arrays come to: items by place, how many, those that `contains` counts, and different ones of a short list. */
import { alternatives, type Expression, NEVER, optional, repeat, rule, type Rules, sequence, text } from '../expression.ts';
import { literal, SPACE } from '../json.ts';
import type { Document, Schema, SchemaObject } from './document.ts';
import { MOST_COUNTED } from './objects.ts';
import type { Shape, Shapes } from './shapes.ts';

/** Values of which no two may be the same: every set of them is a place of its own. */
const MOST_UNIQUE = 10;

export type Arrays = {
  schemasFor(shape: Shape, place: number): Schema[];
  fewest(shape: Shape): number;
  expression(shape: Shape, name: string, rules: Rules, valueOf: (schemas: Schema[]) => Expression): Expression;
};

const comma = sequence(text(','), rule(SPACE));

/** @param finite the values that meet the schemas, when they are few; else null */
export function createArrays(document: Document, shapes: Shapes, finite: (schemas: Schema[]) => unknown[] | null): Arrays {
  const { refuse, draft } = document;
  const prefixOf = (part: SchemaObject): Schema[] => {
    const prefix = draft === '2020-12' ? part.prefixItems : Array.isArray(part.items) ? part.items : undefined;
    return (prefix as Schema[] | undefined) ?? [];
  };
  const restOf = (part: SchemaObject): Schema | undefined => (draft === 'draft-07' && Array.isArray(part.items) ? part.additionalItems : part.items) as Schema | undefined;

  function schemasFor({ parts }: Shape, place: number): Schema[] {
    return parts.flatMap((part): Schema[] => {
      const prefix = prefixOf(part);
      const schema = place < prefix.length ? prefix[place] : restOf(part);
      return schema === undefined ? [] : [schema];
    });
  }

  const fewest = ({ parts }: Shape): number => Math.max(0, ...parts.map((part) => (part.minItems as number | undefined) ?? 0), ...parts.map((part) => (part.contains === undefined ? 0 : ((part.minContains as number | undefined) ?? 1))));
  const mostOf = ({ parts }: Shape): number => Math.min(Infinity, ...parts.map((part) => (part.maxItems as number | undefined) ?? Infinity));
  const brackets = (items: Expression): Expression => sequence(text('['), rule(SPACE), items, text(']'));

  function expression(shape: Shape, name: string, rules: Rules, valueOf: (schemas: Schema[]) => Expression): Expression {
    const { parts } = shape;
    const prefix = Math.max(0, ...parts.map((part) => prefixOf(part).length));
    const least = fewest(shape);
    let most = mostOf(shape);
    // a place that nothing fits ends the array before it
    for (let i = 0; i <= prefix; i++) if (schemasFor(shape, i).includes(false)) most = Math.min(most, i);
    if (least > most) return NEVER;
    const unique = parts.find((part) => part.uniqueItems === true);
    const containing = parts.filter((part) => part.contains !== undefined && !(part.minContains === 0 && part.maxContains === undefined));
    if (unique && most > 1) {
      const values = prefix === 0 ? finite(schemasFor(shape, 0)) : null;
      if (!values || values.length > MOST_UNIQUE) refuse(unique, 'uniqueItems', `different items are enforced only of a list (enum) of at most ${MOST_UNIQUE} values`);
      if (containing.length > 0) refuse(unique, 'uniqueItems', 'it is not enforced together with contains');
      return brackets(uniqueItems(values!, least, most, name, rules));
    }
    if (containing.length > 1) refuse(containing[1], 'contains', 'more than one of them in one place are not enforced');
    if (containing.length === 1) return brackets(containingItems(shape, containing[0], { least, most, prefix }, name, rules, valueOf));

    const item = (place: number): Expression => sequence(valueOf(schemasFor(shape, place)), rule(SPACE));
    const rest = item(prefix);
    const following = sequence(comma, rest);
    let tail: Expression;
    if (most <= prefix) tail = text('');
    else if (prefix > 0) tail = repeat(following, Math.max(0, least - prefix), most - prefix);
    else {
      tail = sequence(rest, repeat(following, Math.max(0, least - 1), most - 1));
      if (least === 0) tail = optional(tail);
    }
    for (let i = Math.min(prefix, most) - 1; i >= 0; i--) {
      const here = sequence(...(i > 0 ? [comma] : []), item(i), tail);
      tail = i >= least ? optional(here) : here;
    }
    return brackets(tail);
  }

  /** Each item is a witness of `contains` or is not asked about; where there may be too many, the others must be none. */
  function containingItems(
    shape: Shape, part: SchemaObject, { least, most, prefix }: { least: number; most: number; prefix: number }, name: string, rules: Rules,
    valueOf: (schemas: Schema[]) => Expression,
  ): Expression {
    const witness = part.contains as Schema;
    const minContains = (part.minContains as number | undefined) ?? 1, maxContains = (part.maxContains as number | undefined) ?? Infinity;
    const places = most < Infinity ? most : Math.max(1, prefix, least); // behind it all places are alike; the first has no comma
    const witnesses = maxContains < Infinity ? maxContains : minContains;
    if ((places + 1) * (witnesses + 1) > MOST_COUNTED) refuse(part, 'contains', 'too many items to be counted');
    const state = (i: number, found: number): string => `${name}.${i}.${found}`;
    for (let i = places; i >= 0; i--) {
      for (let found = 0; found <= witnesses; found++) {
        const ways: Expression[] = i >= least && found >= minContains ? [text('')] : [];
        if (i < most) {
          const next = Math.min(i + 1, places);
          const go = (schemas: Schema[], to: number): void => {
            const first = i === 0 ? [] : [comma];
            ways.push(sequence(...first, valueOf(schemas), rule(SPACE), rule(state(next, to))));
          };
          const schemas = schemasFor(shape, i);
          if (maxContains < Infinity) {
            go([...schemas, shapes.negate(witness)], found);
            if (found < maxContains) go([...schemas, witness], found + 1);
          } else {
            go(schemas, found);
            if (found < minContains) go([...schemas, witness], found + 1);
          }
        }
        rules.set(state(i, found), alternatives(ways));
      }
    }
    return rule(state(0, 0));
  }

  function uniqueItems(values: unknown[], least: number, most: number, name: string, rules: Rules): Expression {
    const state = (set: number): string => `${name}.set${set}`;
    const size = (set: number): number => values.filter((_, i) => (set >> i) & 1).length;
    for (let set = 0; set < 1 << values.length; set++) {
      const ways: Expression[] = size(set) >= least ? [text('')] : [];
      if (size(set) < most) {
        values.forEach((value, i) => {
          if (((set >> i) & 1) === 0) ways.push(sequence(...(set > 0 ? [comma] : []), literal(value), rule(SPACE), rule(state(set | (1 << i)))));
        });
      }
      rules.set(state(set), alternatives(ways));
    }
    return rule(state(0));
  }

  return { schemasFor, fewest, expression };
}
