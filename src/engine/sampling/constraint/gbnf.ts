/**
 * Grammars: llama.cpp's GBNF, and the notation of W3C specifications (EBNF) where they differ only in spelling: 'single quotes', #x20, comments in
 * slashes and stars. The text matches the rule `root`, or the first rule where none has that name. Not here: exceptions (A - B).
 */
import { ConstraintError } from './constraint.ts';
import { ALL, alternatives, chars, type Expression, type Ranges, repeat, rule, type Rules, sequence, text } from './expression.ts';

type Token = { line: number } & (
  | { type: 'name' | 'text' | 'punctuation'; value: string }
  | { type: 'class'; ranges: Ranges }
  | { type: 'counts'; min: number; max: number }
);

export function parseGrammar(source: string): { rules: Rules; root: string } {
  const tokens = scan(source);
  const rules: Rules = new Map();
  const used: { name: string; line: number }[] = [];
  let at = 0;
  const fail = (message: string, line = tokens[at]?.line ?? source.split('\n').length): never => {
    throw new ConstraintError(`line ${line}: ${message}`, { line });
  };
  const is = (value: string): boolean => tokens[at]?.type === 'punctuation' && (tokens[at] as { value: string }).value === value;
  const startsRule = (): boolean => {
    const next = tokens[at + 1];
    return tokens[at]?.type === 'name' && next?.type === 'punctuation' && next.value === '::=';
  };

  function parseAlternatives(): Expression {
    const of = [parseSequence()];
    while (is('|')) {
      at++;
      of.push(parseSequence());
    }
    return alternatives(of);
  }

  function parseSequence(): Expression {
    const parts: Expression[] = [];
    while (at < tokens.length && !startsRule() && !is('|') && !is(')')) parts.push(parseRepeated());
    return sequence(...parts);
  }

  function parseRepeated(): Expression {
    let body = parseOne();
    for (;;) {
      const token = tokens[at];
      if (is('*')) body = repeat(body, 0, Infinity);
      else if (is('+')) body = repeat(body, 1, Infinity);
      else if (is('?')) body = repeat(body, 0, 1);
      else if (token?.type === 'counts') {
        if (token.min > token.max) fail(`{${token.min},${token.max}} repeats at least more often than at most`);
        body = repeat(body, token.min, token.max);
      } else return body;
      at++;
    }
  }

  function parseOne(): Expression {
    const token = tokens[at];
    if (token.type === 'class') {
      at++;
      return chars(token.ranges);
    }
    if (token.type === 'counts') return fail('a repetition with nothing before it');
    if (token.type === 'text') {
      at++;
      return text(token.value);
    }
    if (token.type === 'name') {
      at++;
      used.push({ name: token.value, line: token.line });
      return rule(token.value);
    }
    if (token.value !== '(') return fail(token.value === '-' ? 'exceptions (A - B) are not enforced: write out what is meant' : `${token.value} was not expected here`);
    at++;
    const group = parseAlternatives();
    if (!is(')')) fail(`the group opened in line ${token.line} is not closed: add a )`);
    at++;
    return group;
  }

  while (at < tokens.length) {
    if (!startsRule()) fail('a rule was expected: name ::= …');
    const { value: name } = tokens[at] as { value: string };
    if (rules.has(name)) fail(`the rule ${name} is there twice: give one of them another name`);
    at += 2;
    rules.set(name, NOTHING);
    rules.set(name, parseAlternatives());
    if (is(')')) fail(') closes nothing');
  }
  if (rules.size === 0) throw new ConstraintError('the grammar has no rule: write root ::= …', { line: 1 });
  for (const { name, line } of used) if (!rules.has(name)) fail(`there is no rule ${name}`, line);
  return { rules, root: rules.has('root') ? 'root' : [...rules.keys()][0] };
}

const NOTHING: Expression = { type: 'alternatives', of: [] };
const ESCAPES: Record<string, string> = { n: '\n', r: '\r', t: '\t', '\\': '\\', '"': '"', "'": "'", '[': '[', ']': ']', '-': '-', '^': '^', '/': '/' };

function scan(source: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let line = 1;
  const fail = (message: string): never => {
    throw new ConstraintError(`line ${line}: ${message}`, { line });
  };
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const match = pattern.exec(source);
    if (match) {
      at = pattern.lastIndex;
      line += match[0].split('\n').length - 1;
    }
    return match;
  };
  /** One character of a text or a class, escapes read. */
  const char = (end: string): number | null => {
    if (at >= source.length || source[at] === '\n') return fail(`${end} is missing before the line ends`);
    if (source[at] === end) return null;
    const hex = take(/\\x([0-9a-fA-F]{2})|\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})/y) ?? (end === ']' ? take(/#x([0-9a-fA-F]{1,6})/y) : null);
    if (hex) return parseInt(hex[1] ?? hex[2] ?? hex[3], 16);
    if (source[at] === '\\') {
      const escaped = ESCAPES[source[at + 1]];
      if (escaped === undefined) fail(`\\${source[at + 1] ?? ''} is not an escape`);
      at += 2;
      return escaped.charCodeAt(0);
    }
    const point = source.codePointAt(at)!;
    at += point > 0xffff ? 2 : 1;
    return point;
  };

  for (;;) {
    take(/(?:\s|#(?!x[0-9a-fA-F])[^\n]*|\/\*[^]*?\*\/)+/y);
    if (at >= source.length) return tokens;
    const begins = line;
    const name = take(/[A-Za-z_][A-Za-z0-9_-]*/y);
    if (name) {
      tokens.push({ type: 'name', value: name[0], line: begins });
      continue;
    }
    const counts = take(/\{\s*(\d+)\s*(?:(,)\s*(\d*)\s*)?\}/y);
    if (counts) {
      const min = Number(counts[1]);
      tokens.push({ type: 'counts', min, max: counts[2] === undefined ? min : counts[3] === '' ? Infinity : Number(counts[3]), line: begins });
      continue;
    }
    const hex = take(/#x([0-9a-fA-F]{1,6})/y);
    if (hex) {
      tokens.push({ type: 'text', value: String.fromCodePoint(parseInt(hex[1], 16)), line: begins });
      continue;
    }
    const quote = source[at];
    if (quote === '"' || quote === "'") {
      at++;
      let value = '';
      for (let point = char(quote); point !== null; point = char(quote)) value += String.fromCodePoint(point);
      at++;
      tokens.push({ type: 'text', value, line: begins });
      continue;
    }
    if (quote === '[') {
      at++;
      const excluded = source[at] === '^';
      if (excluded) at++;
      const ranges: [number, number][] = [];
      for (let low = char(']'); low !== null; low = char(']')) {
        let high = low;
        if (source[at] === '-' && source[at + 1] !== ']') {
          at++;
          high = char(']')!;
          if (high < low) fail(`a range that goes backwards: ${String.fromCodePoint(low)}-${String.fromCodePoint(high)}`);
        }
        ranges.push([low, high]);
      }
      at++;
      tokens.push({ type: 'class', ranges: excluded ? without(ranges) : ranges, line: begins });
      continue;
    }
    const punctuation = take(/::=|[|()*+?]/y);
    if (punctuation) tokens.push({ type: 'punctuation', value: punctuation[0], line: begins });
    else if (quote === '.') {
      at++;
      tokens.push({ type: 'class', ranges: ALL, line: begins });
    } else if (quote === '-') {
      at++;
      tokens.push({ type: 'punctuation', value: '-', line: begins });
    } else fail(`${source[at]} was not expected here`);
  }
}

/** Every character outside the ranges. */
function without(ranges: [number, number][]): Ranges {
  const left: [number, number][] = [];
  let from = 0;
  for (const [low, high] of [...ranges].sort((a, b) => a[0] - b[0])) {
    if (low > from) left.push([from, low - 1]);
    from = Math.max(from, high + 1);
  }
  if (from <= 0x10ffff) left.push([from, 0x10ffff]);
  return left;
}
