/**
 * Sets of strings that a finite automaton can tell: a JavaScript regular expression, a list of words, a range of lengths, and what is in both or not
 * in one. The automata are refa's, the parsing regexpp's; ours is what refa leaves out: assertions, worked into the automaton from the right.
 */
import { DFA, type Char, type Concatenation, type Element, JS, NFA, type ReadonlyDFA, type ReadonlyNFA } from 'refa';
import { ConstraintError } from './constraint.ts';
import type { Automaton } from './expression.ts';

export type Language = ReadonlyDFA;

const maxCharacter = 0x10ffff as Char;
const MOST_NODES = 10_000;
const factory = () => new DFA.LimitedNodeFactory(MOST_NODES);

/** What a made automaton says when it grows too large, for whoever knows where the text of it stands. */
function limited<T>(what: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if ((error as Error).name !== 'TooManyNodesError' && !/nodes/i.test((error as Error).message)) throw error;
    throw new ConstraintError(`${what} needs an automaton of more than ${MOST_NODES} states: give it shorter repetitions`, {});
  }
}

const minimized = (dfa: DFA): DFA => {
  dfa.minimize();
  return dfa;
};

export const everything = (): Language => DFA.all({ maxCharacter });
const anything = (): NFA => NFA.all({ maxCharacter });
export const wordsOf = (words: string[]): Language => minimized(DFA.fromWords(words.map((word) => Array.from(word, (char) => char.codePointAt(0) as Char)), { maxCharacter }, factory()));
export const both = (a: Language, b: Language): Language => limited('a combination of patterns', () => minimized(DFA.fromIntersection(a, b, factory())));

export const either = (a: Language, b: Language): Language => not(both(not(a), not(b)));

export function not(a: Language): Language {
  const dfa = a.copy();
  dfa.complement();
  return minimized(dfa);
}

/** Strings of `min` to `max` characters; `max` may be Infinity. */
export function lengths(min: number, max: number): Language {
  return languageOf(`^[^]{${min},${max === Infinity ? '' : max}}$`);
}

/** The strings in which `source` is found somewhere, as RegExp.test with the flag u says. Throws a ConstraintError that names what cannot be told. */
export function languageOf(source: string): Language {
  return limited('the pattern', () => {
    const parser = parserOf(source);
    const { expression } = parser.parse({ assertions: 'parse', backreferences: 'throw', maxNodes: MOST_NODES });
    let found: NFA | null = null;
    for (const elements of expression.alternatives.flatMap(({ elements }) => spread(elements))) {
      const anchored = elements.length > 0 && isStart(elements[0]);
      const rest = followedBy(elements, anything(), true);
      const one = anchored ? NFA.fromFA(rest) : anything();
      if (!anchored) one.append(rest);
      if (found) found.union(one);
      else found = one;
    }
    return found ? minimized(DFA.fromFA(found, factory())) : DFA.empty({ maxCharacter });
  });
}

function parserOf(source: string): JS.Parser {
  try {
    return JS.Parser.fromLiteral({ source: unicodeSource(source), flags: 'u' });
  } catch (error) {
    throw new ConstraintError(`not a regular expression: ${(error as Error).message}`);
  }
}

/** Throws where it is no regular expression. */
export const checkPattern = (source: string): void => void parserOf(source);

/** Escapes that only older patterns have, like \- and \_, written as the flag u wants them. */
export function unicodeSource(source: string): string {
  let inClass = false;
  return source.replace(/\\[^]|[[\]]/g, (part) => {
    if (part === '[') inClass = true;
    if (part === ']') inClass = false;
    if (part.length === 1) return part;
    if (part === '\\-') return inClass ? part : '-';
    return /[\^$\\.*+?()[\]{}|/dDsSwWbBnrtfvcxukpP0-9]/.test(part[1]) ? part : part[1];
  });
}

const isAny = (element: Element | undefined): boolean => element?.type === 'CharacterClass' && element.characters.isAll;
const isStart = (element: Element): boolean =>
  element.type === 'Assertion' && element.kind === 'behind' && element.negate && element.alternatives.length === 1 && element.alternatives[0].elements.length === 1 && isAny(element.alternatives[0].elements[0]);

/** A group at the start that holds assertions, as alternatives of its own: ^ is then always first. */
function spread(elements: Element[]): Element[][] {
  const [first, ...rest] = elements;
  if (first?.type !== 'Alternation' || !asserts(first)) return [elements];
  return first.alternatives.flatMap((alternative) => spread([...alternative.elements, ...rest]));
}

function asserts(element: Element): boolean {
  if (element.type === 'Assertion') return true;
  return (element.type === 'Alternation' || element.type === 'Quantifier') && element.alternatives.some(({ elements }) => elements.some(asserts));
}

/** Texts of the elements, then of `rest`: from the last to the first, so that what an assertion looks at is known when it comes. */
function followedBy(elements: Element[], rest: ReadonlyNFA, start: boolean): ReadonlyNFA {
  let after = rest;
  for (let i = elements.length - 1; i >= 0; i--) {
    const element = elements[i];
    if (!asserts(element)) {
      const plain = NFA.fromRegex({ type: 'Concatenation', elements: [element] } as unknown as Concatenation, { maxCharacter }, {}, new NFA.LimitedNodeFactory(MOST_NODES));
      plain.append(after);
      after = plain;
    } else if (element.type === 'Assertion') {
      if (element.kind === 'behind') {
        if (!isStart(element)) throw new ConstraintError('a look-behind (or \\b, which is one) cannot be enforced: say what stands before in the pattern itself');
        if (!start || elements.slice(0, i).some((before) => before.type !== 'Assertion')) throw new ConstraintError('^ behind other parts of the pattern cannot be enforced: put it first');
        continue;
      }
      let ahead: Language = unionOf(element.alternatives, anything());
      if (element.negate) ahead = not(ahead);
      after = NFA.fromFA(both(DFA.fromFA(after, factory()), ahead));
    } else if (element.type === 'Alternation') {
      after = NFA.fromFA(unionOf(element.alternatives, after));
    } else if (element.type === 'Quantifier' && element.max <= 16) {
      const union = NFA.empty({ maxCharacter });
      for (let count = 0, grown = after; count <= element.max; count++) {
        if (count > 0) grown = NFA.fromFA(unionOf(element.alternatives, grown));
        if (count >= element.min) union.union(grown);
      }
      after = union;
    } else {
      throw new ConstraintError('an assertion inside a repetition cannot be enforced: take it out of the repetition');
    }
  }
  return after;
}

function unionOf(alternatives: Concatenation[], rest: ReadonlyNFA): DFA {
  const union = NFA.empty({ maxCharacter });
  for (const { elements } of alternatives) union.union(followedBy(elements, rest, false));
  return minimized(DFA.fromFA(union, factory()));
}

export const isEmpty = (language: Language): boolean => language.isEmpty;
export const contains = (language: Language, word: string): boolean => language.test(Array.from(word, (char) => char.codePointAt(0) as Char));

/** The most characters of any of its strings. */
export function longest(language: Language): number {
  if (language.isEmpty) return 0;
  if (!language.isFinite) return Infinity;
  let length = 0;
  for (const word of language.wordSets()) length = Math.max(length, word.length);
  return length;
}

export function automatonOf(language: Language): Automaton {
  const nodes = [language.initial, ...[...language.nodes()].filter((node) => node !== language.initial)];
  const numbers = new Map(nodes.map((node, i) => [node, i]));
  return {
    edges: nodes.map((node) => {
      const ranges = new Map<number, [number, number][]>();
      for (const [{ min, max }, to] of node.out) {
        const number = numbers.get(to)!;
        ranges.set(number, [...(ranges.get(number) ?? []), [min, max]]);
      }
      return [...ranges].map(([to, of]) => ({ ranges: of, to }));
    }),
    accepting: nodes.map((node) => language.finals.has(node)),
  };
}
