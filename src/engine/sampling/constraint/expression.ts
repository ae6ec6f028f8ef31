/**
 * What every kind of constraint is written in before it becomes a network of bytes: sequences, alternatives, counted repetitions, named rules and
 * finite automata over code points. Plain data and its constructors; what they mean is network.ts.
 */

/** Inclusive code points, sorted and apart. */
export type Ranges = readonly (readonly [number, number])[];

/** States 0…; 0 is the start. `json`: code points are written as they stand inside a JSON string. */
export type Automaton = { edges: { ranges: Ranges; to: number }[][]; accepting: boolean[] };

export type Expression =
  | { type: 'automaton'; automaton: Automaton; json: boolean }
  | { type: 'bytes'; bytes: Uint8Array }
  | { type: 'sequence'; parts: Expression[] }
  | { type: 'alternatives'; of: Expression[] }
  /** `max` may be Infinity. */
  | { type: 'repeat'; body: Expression; min: number; max: number }
  | { type: 'rule'; name: string };

export type Rules = Map<string, Expression>;

/** Every code point that is a character: surrogates have no UTF-8. */
export const ALL: Ranges = [[0, 0xd7ff], [0xe000, 0x10ffff]];

const encoder = new TextEncoder();
export const text = (value: string): Expression => ({ type: 'bytes', bytes: encoder.encode(value) });
export const sequence = (...parts: Expression[]): Expression => (parts.length === 1 ? parts[0] : { type: 'sequence', parts });
export const alternatives = (of: Expression[]): Expression => (of.length === 1 ? of[0] : { type: 'alternatives', of });
export const repeat = (body: Expression, min: number, max: number): Expression => ({ type: 'repeat', body, min, max });
export const optional = (body: Expression): Expression => repeat(body, 0, 1);
export const rule = (name: string): Expression => ({ type: 'rule', name });
export const automaton = (of: Automaton, json: boolean): Expression => ({ type: 'automaton', automaton: of, json });
export const chars = (ranges: Ranges, json = false): Expression => automaton({ edges: [[{ ranges, to: 1 }], []], accepting: [false, true] }, json);
/** Nothing matches it. */
export const NEVER: Expression = { type: 'alternatives', of: [] };
