/** Any constraint, compiled for a tokenizer: to rules, to a network of bytes, to masks. The kinds themselves are in files of their own. */
import type { Constraint, Validity } from '../../../shared/constraint.ts';
import type { Tokenizer } from '../../tokenizer/tokenizer.ts';
import { type CompiledConstraint, ConstraintError } from './constraint.ts';
import { alternatives, automaton, type Automaton, rule, type Rules, sequence, text } from './expression.ts';
import { parseGrammar } from './gbnf.ts';
import { jsonRules, OBJECT } from './json.ts';
import { schemaRules } from './json-schema/schema-rules.ts';
import { automatonOf, checkPattern, languageOf } from './language.ts';
import { createMasks } from './matcher.ts';
import { buildNetwork, type Network } from './network.ts';
import { invalid, mended, objectValidator, patternValidator, readSchema, VALID, type Validator } from './validate.ts';
import { vocabularyOf } from './vocabulary.ts';

/** Throws a ConstraintError that names what is wrong or cannot be enforced. Takes milliseconds to seconds; keep it for as many sequences as there are. */
export function compileConstraint(constraint: Constraint, tokenizer: Tokenizer): CompiledConstraint {
  const { byteIds } = vocabularyOf(tokenizer);
  const { network, validate } = networkOf(constraint, (byte) => byteIds[byte] >= 0);
  return compileNetwork(constraint, network, tokenizer, validate);
}

/** The part that takes the time. `usable`: bytes that are tokens by themselves. */
export function networkOf(constraint: Constraint, usable: (byte: number) => boolean): { network: Network; validate: Validator | null } {
  const { rules, root, validate } = rulesOf(constraint);
  const { after } = constraint;
  if (after !== undefined) rules.set(AFTER, sequence(automaton(untilFirst(after), false), rule(root)));
  const network = buildNetwork(rules, after === undefined ? root : AFTER, usable);
  if (network.cost === Infinity) throw new ConstraintError(`nothing meets the ${NAMES[constraint.type]}: it asks for what excludes itself, or the tokenizer cannot write it`, { pointer: constraint.type === 'jsonSchema' ? '' : null });
  return { network, validate };
}

/** `validate`: what reads an answer again by other means than the network, where there is something. */
export function compileNetwork(constraint: Constraint, network: Network, tokenizer: Tokenizer, validate: Validator | null): CompiledConstraint {
  const { after } = constraint;
  const repairs = 'enforce' in constraint && constraint.enforce === 'repair';
  const masks = createMasks(network, vocabularyOf(tokenizer));
  const encoder = new TextEncoder();
  const matched = (answer: string): Validity => (masks.matches(encoder.encode(after === undefined ? answer : after + answer)) ? VALID : invalid(`not a sentence of the ${NAMES[constraint.type]}`));
  const check = (answer: string): Validity => validate?.(answer) ?? matched(answer);
  return {
    get fewestTokens() {
      return masks.fewestTokens;
    },
    masks: !repairs,
    start: masks.start,
    validate(answer) {
      const at = after === undefined ? 0 : answer.indexOf(after);
      if (at < 0) return invalid(`${JSON.stringify(after)} is missing`);
      const begins = at + (after?.length ?? 0);
      const validity = check(answer.slice(begins));
      return validity.valid || !repairs ? validity : mended(answer.slice(0, begins), answer.slice(begins), check) ?? validity;
    },
  };
}

const AFTER = '\0after';
const NAMES: Record<Constraint['type'], string> = { choices: 'choices', regex: 'regular expression', jsonSchema: 'schema', jsonObject: 'JSON', grammar: 'grammar' };

function rulesOf(constraint: Constraint): { rules: Rules; root: string; validate: Validator | null } {
  switch (constraint.type) {
    case 'choices': {
      const choices = [...new Set(constraint.choices)];
      return { rules: new Map([['root', alternatives(choices.map(text))]]), root: 'root', validate: (answer) => (choices.includes(answer) ? VALID : invalid('not one of the choices')) };
    }
    case 'regex':
      // the pattern by itself first, so that a mistake in it is told as it was written
      checkPattern(constraint.pattern);
      return {
        rules: new Map([['root', automaton(automatonOf(languageOf(`^(?:${constraint.pattern})$`)), false)]]), root: 'root', validate: patternValidator(constraint.pattern),
      };
    case 'jsonSchema': {
      const { compile } = readSchema(constraint.schema);
      return { ...schemaRules(constraint.schema), validate: compile() };
    }
    case 'jsonObject':
      return { rules: jsonRules(), root: OBJECT, validate: objectValidator };
    case 'grammar':
      return { ...parseGrammar(constraint.grammar), validate: null };
  }
}

/** Texts that end with the first place where a string stands in them (Knuth, Morris and Pratt). */
function untilFirst(string: string): Automaton {
  const points = Array.from(string, (char) => char.codePointAt(0)!);
  const falls = [0];
  for (let i = 1, fall = 0; i < points.length; i++) {
    while (fall > 0 && points[i] !== points[fall]) fall = falls[fall - 1];
    if (points[i] === points[fall]) fall++;
    falls.push(fall);
  }
  const step = (state: number, point: number): number => {
    while (state > 0 && points[state] !== point) state = falls[state - 1];
    return points[state] === point ? state + 1 : 0;
  };
  const known = [...new Set(points)].sort((a, b) => a - b);
  const others = known.reduceRight<[number, number][]>(([[low, high], ...rest], point) => [[low, point - 1], [point + 1, high], ...rest], [[0, 0x10ffff]]).filter(([low, high]) => low <= high);
  const edges = points.map((_, state) => [...known.map((point) => ({ ranges: [[point, point]] as const, to: step(state, point) })), { ranges: others, to: 0 }]);
  return { edges: [...edges, []], accepting: [...points.map(() => false), true] };
}
