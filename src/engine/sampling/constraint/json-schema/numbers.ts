/**
 * Numbers as strings of digits: those between two bounds, multiples, and those that are or are not whole. Written without an exponent.
 * A bound is exact: an inclusive one may be any double, since reading decimals keeps their order; where a number must not be the bound itself it has at
 * most 15 digits, which a double tells apart.
 */
import { CharSet, DFA, type Char } from 'refa';
import { both, either, everything, type Language, languageOf } from '../language.ts';

export type NumberRange = { low: number; lowExcluded: boolean; high: number; highExcluded: boolean };

/** Whole digits a number is written with at most; beyond it a bound bounds nothing. */
const MOST_DIGITS = 20;
const FRACTION = '(?:\\.[0-9]{1,20})?';

/** 1.5e-7 as 0.00000015. */
export function plainDecimal(value: number): string {
  const [digits, exponent] = Math.abs(value).toString().split('e');
  if (exponent === undefined) return digits;
  const [whole, fraction = ''] = digits.split('.');
  const shift = Number(exponent);
  return shift > 0 ? whole + fraction.padEnd(shift, '0') : `0.${'0'.repeat(-shift - 1)}${whole}${fraction}`;
}

/** Patterns of the numbers from 0 on that are above (or below) a bound, or it. */
function beyond(bound: number, excluded: boolean, above: boolean): string[] {
  const [whole, fraction = ''] = plainDecimal(bound).split('.');
  const found: string[] = [];
  const digits = (low: number, high: number) => (low > high ? null : low === high ? `${low}` : `[${low}-${high}]`);
  for (let i = 0; i < whole.length; i++) {
    const digit = Number(whole[i]);
    const other = above ? digits(digit + 1, 9) : digits(i === 0 && whole.length > 1 ? 1 : 0, digit - 1);
    if (other !== null) found.push(`${whole.slice(0, i)}${other}[0-9]{${whole.length - i - 1}}${FRACTION}`);
  }
  if (above) found.push(`[1-9][0-9]{${whole.length},${MOST_DIGITS}}${FRACTION}`);
  else if (whole.length > 1) found.push(`(?:0|[1-9][0-9]{0,${whole.length - 2}})${FRACTION}`);
  // the same whole part: the fraction decides
  for (let i = 0; i < fraction.length; i++) {
    const digit = Number(fraction[i]);
    const other = above ? digits(digit + 1, 9) : digits(0, digit - 1);
    if (other !== null) found.push(`${whole}\\.${fraction.slice(0, i)}${other}[0-9]{0,20}`);
    if (!above) found.push(i === 0 ? whole : `${whole}\\.${fraction.slice(0, i)}`);
  }
  if (above) found.push(`${whole}\\.${fraction}0{0,20}[1-9][0-9]{0,20}`);
  if (!excluded) found.push(fraction === '' ? `${whole}(?:\\.0{1,20})?` : `${whole}\\.${fraction}0{0,20}`);
  return found;
}

/** No negative zero: it is a second spelling of 0. */
const NEGATIVE = languageOf(`^-(?:${beyond(0, true, true).join('|')})$`);
const FROM_ZERO = languageOf(`^(?:0|[1-9][0-9]{0,${MOST_DIGITS}})${FRACTION}$`);

function side(bound: number, excluded: boolean, above: boolean): Language {
  if (Math.abs(bound) >= 10 ** MOST_DIGITS) return (bound > 0) === above ? DFA.empty({ maxCharacter: 0x10ffff as Char }) : everything();
  const positive = bound > 0 || (bound === 0 && (above || !excluded)); // the bound is among the numbers from 0 on
  if (positive) {
    const near = languageOf(`^(?:${beyond(bound, excluded, above).join('|')})$`);
    return above ? near : either(near, NEGATIVE);
  }
  const near = bound === 0 ? null : languageOf(`^-(?:${beyond(bound, excluded, !above).join('|')})$`);
  const negative = near === null ? NEGATIVE : both(near, NEGATIVE);
  return above ? either(negative, FROM_ZERO) : negative;
}

export function numbersBetween({ low, lowExcluded, high, highExcluded }: NumberRange): Language {
  let language = either(NEGATIVE, FROM_ZERO);
  if (low > -Infinity) language = both(language, side(low, lowExcluded, true));
  if (high < Infinity) language = both(language, side(high, highExcluded, false));
  if ((lowExcluded && low > -Infinity) || (highExcluded && high < Infinity)) language = both(language, fewDigits(15));
  return language;
}

/** At most so many digits before and behind the point together, zeros before the first other one counted. */
function fewDigits(most: number): Language {
  const forms = Array.from({ length: most - 1 }, (_, i) => `[0-9]{1,${i + 1}}\\.[0-9]{1,${most - i - 1}}`);
  return languageOf(`^-?(?:[0-9]{1,${most}}|${forms.join('|')})$`);
}

export const wholeNumbers = (): Language => languageOf('^-?[0-9]+$');
/** With few digits: a long fraction is read as a whole number. */
export const brokenNumbers = (): Language => both(languageOf('\\.0*[1-9]'), fewDigits(15));
/** Every spelling of one number. */
export const spellings = (value: number): Language => {
  const [whole, fraction] = plainDecimal(value).split('.');
  return languageOf(`^${value < 0 ? '-' : ''}${whole}${fraction === undefined ? '(?:\\.0*)?' : `\\.${fraction}0*`}$`);
};

/** Divisors of more than so many steps make too large an automaton. */
const MOST_STEPS = 2000;

/** Multiples of a divisor; null when it is too fine or too large. Fractions are short, so that dividing doubles finds the same. */
export function multiplesOf(divisor: number): Language | null {
  const [whole, fraction = ''] = plainDecimal(divisor).split('.');
  const places = fraction.length;
  const steps = Number(whole + fraction);
  if (steps > MOST_STEPS || places > 6) return null;
  type Place = string; // what was read: '' nothing, '-' the sign, else digits behind the point (or none), the remainder so far, and whether it is a lone 0
  const digit = (value: number) => CharSet.empty(0x10ffff as Char).union([{ min: (48 + value) as Char, max: (48 + value) as Char }]);
  const char = (value: string) => CharSet.empty(0x10ffff as Char).union([{ min: value.charCodeAt(0) as Char, max: value.charCodeAt(0) as Char }]);
  const out = (place: Place): Map<Place, CharSet> => {
    const edges = new Map<Place, CharSet>();
    const add = (to: Place, chars: CharSet): void => void edges.set(to, edges.get(to)?.union(chars) ?? chars);
    if (place === '' || place === '-') {
      if (place === '') add('-', char('-'));
      add('0,0,zero', digit(0));
      for (let value = 1; value < 10; value++) add(`0,${value % steps},`, digit(value));
      return edges;
    }
    const [behind, remainder, zero] = place.split(',');
    if (behind === '0' && places > 0) add(`.,${remainder},`, char('.'));
    if (behind === '0' ? zero === 'zero' : Number(behind) >= places) return edges;
    const next = behind === '0' ? 0 : behind === '.' ? 1 : Number(behind) + 1;
    for (let value = 0; value < 10; value++) add(`${next},${(Number(remainder) * 10 + value) % steps},`, digit(value));
    return edges;
  };
  const isFinal = (place: Place): boolean => {
    const [behind, remainder] = place.split(',');
    return remainder !== undefined && behind !== '.' && (Number(remainder) * 10 ** (places - Number(behind))) % steps === 0;
  };
  const multiples = DFA.fromTransitionIterator({ initial: '', getOut: out, isFinal }, { maxCharacter: 0x10ffff as Char });
  return both(multiples, fewDigits(places > 0 ? 9 : 15));
}
