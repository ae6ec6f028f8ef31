/** JSON as such: white space, any value, any object. What a schema asks of them is json-schema/. */
import { ALL, alternatives, automaton, chars, type Expression, optional, repeat, rule, type Rules, sequence, text } from './expression.ts';

/** What may stand between two parts: nothing, a space, or a new line and its indentation. An endless run of spaces is no answer. */
export const SPACE = 'space';
export const VALUE = 'value';
export const OBJECT = 'object';
const ARRAY = 'array';

const digit = chars([[0x30, 0x39]]);
const natural = alternatives([text('0'), sequence(chars([[0x31, 0x39]]), repeat(digit, 0, 40))]);
/** Within what a double holds: 1e999 is read as Infinity, which is no JSON number. */
export const ANY_NUMBER: Expression = sequence(
  optional(text('-')), natural, optional(sequence(text('.'), repeat(digit, 1, 20))),
  optional(sequence(chars([[0x45, 0x45], [0x65, 0x65]]), optional(chars([[0x2b, 0x2b], [0x2d, 0x2d]])), repeat(digit, 1, 2))),
);
export const ANY_STRING: Expression = sequence(text('"'), automaton({ edges: [[{ ranges: ALL, to: 0 }]], accepting: [true] }, true), text('"'));

/** A list of `item`s between brackets, spaced. */
export const listOf = (open: string, item: Expression, close: string): Expression =>
  sequence(text(open), rule(SPACE), optional(sequence(item, rule(SPACE), repeat(sequence(text(','), rule(SPACE), item, rule(SPACE)), 0, Infinity))), text(close));

export const pair = (name: Expression, value: Expression): Expression => sequence(name, rule(SPACE), text(':'), rule(SPACE), value);

export function jsonRules(): Rules {
  return new Map<string, Expression>([
    [SPACE, optional(alternatives([text(' '), sequence(text('\n'), repeat(chars([[0x20, 0x20], [0x09, 0x09]]), 0, 20))]))],
    [VALUE, alternatives([text('null'), text('true'), text('false'), ANY_NUMBER, ANY_STRING, rule(ARRAY), rule(OBJECT)])],
    [ARRAY, listOf('[', rule(VALUE), ']')],
    [OBJECT, listOf('{', pair(ANY_STRING, rule(VALUE)), '}')],
  ]);
}

/** As JSON.stringify writes it, with room to breathe. */
export function literal(value: unknown): Expression {
  if (Array.isArray(value)) {
    const items = value.flatMap((item, i) => [...(i > 0 ? [text(','), rule(SPACE)] : []), literal(item), rule(SPACE)]);
    return sequence(text('['), rule(SPACE), ...items, text(']'));
  }
  if (typeof value === 'object' && value !== null) {
    const pairs = Object.entries(value).flatMap(([name, of], i) => [...(i > 0 ? [text(','), rule(SPACE)] : []), pair(text(JSON.stringify(name)), literal(of)), rule(SPACE)]);
    return sequence(text('{'), rule(SPACE), ...pairs, text('}'));
  }
  return text(JSON.stringify(value));
}
