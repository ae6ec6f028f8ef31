/** What the keywords of strings and numbers come to: one language of all that a shape's parts ask for. */
import { both, contains, isEmpty, type Language, languageOf, lengths, longest, not, wordsOf } from '../language.ts';
import { ConstraintError } from '../constraint.ts';
import type { Document, SchemaObject } from './document.ts';
import { formatLanguage } from './formats.ts';
import { brokenNumbers, multiplesOf, numbersBetween, type NumberRange, spellings, wholeNumbers } from './numbers.ts';
import { NOT_PATTERN, type Shape } from './shapes.ts';

/** Formats of numbers and those that say nothing about how a string is written. */
const FREE_FORMATS = new Set(['password', 'binary', 'float', 'double', 'int32', 'int64']);
const patterns = new Map<string, Language>();

export type Strings = { language: Language | null; min: number; max: number };

export type Scalars = {
  /** `language` null: any; `min` and `max` characters where the language does not say them itself. */
  strings(shape: Shape): Strings;
  numbers(shape: Shape): Language | null;
  fits(shape: Shape, value: string | number): boolean;
  pattern(schema: SchemaObject, keyword: string, source: string): Language;
};

export function createScalars({ refuse }: Document): Scalars {
  /** An error about a language, told with where it stands. */
  function at<T>(schema: SchemaObject, keyword: string, make: () => T): T {
    try {
      return make();
    } catch (error) {
      if (error instanceof ConstraintError && error.pointer === null) refuse(schema, keyword, error.message);
      throw error;
    }
  }

  function pattern(schema: SchemaObject, keyword: string, source: string): Language {
    let language = patterns.get(source);
    if (!language) patterns.set(source, (language = at(schema, keyword, () => languageOf(source))));
    return language;
  }

  function strings({ parts, excluded }: Shape): Strings {
    let language: Language | null = null;
    let min = 0, max = Infinity;
    let counted: SchemaObject | null = null;
    const and = (schema: SchemaObject, keyword: string, other: Language): void => {
      language = language === null ? other : at(schema, keyword, () => both(language!, other));
    };
    for (const part of parts) {
      if (typeof part.pattern === 'string') and(part, 'pattern', pattern(part, 'pattern', part.pattern));
      if (typeof part[NOT_PATTERN] === 'string') and(part, 'pattern', not(pattern(part, 'pattern', part[NOT_PATTERN])));
      if (typeof part.format === 'string' && !FREE_FORMATS.has(part.format)) {
        const format = formatLanguage(part.format);
        if (!format) refuse(part, 'format', `the format ${part.format} is not known: use a pattern`);
        and(part, 'format', format!);
      }
      if (typeof part.minLength === 'number') min = Math.max(min, part.minLength);
      if (typeof part.maxLength === 'number') max = Math.min(max, part.maxLength);
      if (part.minLength !== undefined || part.maxLength !== undefined) counted = part;
    }
    const words = excluded.filter((value): value is string => typeof value === 'string');
    if (words.length > 0) and(parts.at(-1)!, 'not', not(wordsOf(words)));
    if (language !== null && counted) {
      if (max >= longest(language)) max = Infinity;
      if (min > max) return { language: null, min, max };
      if (min > 0 || max < Infinity) and(counted, counted.maxLength === undefined ? 'minLength' : 'maxLength', at(counted, 'maxLength', () => lengths(min, max)));
      return { language, min: 0, max: Infinity };
    }
    return { language, min, max };
  }

  function rangeOf(parts: SchemaObject[]): NumberRange {
    const range: NumberRange = { low: -Infinity, lowExcluded: false, high: Infinity, highExcluded: false };
    const above = (bound: unknown, excluded: boolean): void => {
      if (typeof bound !== 'number' || bound < range.low) return;
      range.lowExcluded = bound > range.low ? excluded : range.lowExcluded || excluded;
      range.low = bound;
    };
    const below = (bound: unknown, excluded: boolean): void => {
      if (typeof bound !== 'number' || bound > range.high) return;
      range.highExcluded = bound < range.high ? excluded : range.highExcluded || excluded;
      range.high = bound;
    };
    for (const part of parts) {
      above(part.minimum, false);
      above(part.exclusiveMinimum, true);
      below(part.maximum, false);
      below(part.exclusiveMaximum, true);
      if (part.format === 'int32') {
        above(-(2 ** 31), false);
        below(2 ** 31 - 1, false);
      }
    }
    return range;
  }

  function numbers({ parts, types, excluded }: Shape): Language | null {
    const range = rangeOf(parts);
    const divisors = parts.filter((part) => part.multipleOf !== undefined);
    const values = excluded.filter((value): value is number => typeof value === 'number');
    const whole = !types.includes('fraction'), broken = !types.includes('integer');
    if (range.low === -Infinity && range.high === Infinity && divisors.length === 0 && values.length === 0 && !whole && !broken) return null;
    if (range.low > range.high) return both(wholeNumbers(), brokenNumbers()); // none
    let language = numbersBetween(range);
    if (whole) language = both(language, wholeNumbers());
    if (broken) language = both(language, brokenNumbers());
    for (const part of divisors) {
      const multiples = multiplesOf(part.multipleOf as number);
      if (!multiples) refuse(part, 'multipleOf', `multiples of ${String(part.multipleOf)} cannot be enforced: use a divisor of at most four digits`);
      language = at(part, 'multipleOf', () => both(language, multiples!));
    }
    for (const value of values) language = both(language, not(spellings(value)));
    return language;
  }

  function fits(shape: Shape, value: string | number): boolean {
    if (typeof value === 'string') {
      const { language, min, max } = strings(shape);
      const length = Array.from(value).length;
      return length >= min && length <= max && (language === null || contains(language, value));
    }
    const { low, lowExcluded, high, highExcluded } = rangeOf(shape.parts);
    if (value < low || value > high || (lowExcluded && value === low) || (highExcluded && value === high)) return false;
    return shape.parts.every(({ multipleOf }) => multipleOf === undefined || Math.abs(value / (multipleOf as number) - Math.round(value / (multipleOf as number))) < 1e-9);
  }

  return { strings, numbers, fits, pattern };
}

export const noStrings = ({ language, min, max }: Strings): boolean => min > max || (language !== null && isEmpty(language));
