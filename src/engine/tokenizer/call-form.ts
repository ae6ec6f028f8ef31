/**
 * How a model writes a tool call and how its answer is read again: found in what its own chat template makes of a call (tool-support.ts). Known is
 * JSON of a name and arguments, between marks (Hermes and Qwen), in a list (Mistral) or by itself (Llama 3.1); marks that are special tokens
 * are no part of an answer's text. Other forms (XML of Qwen3-Coder, GLM's) are named as not known. A text that is no whole call of a tool
 * that is there stays a text.
 */
import type { Constraint } from '../../shared/constraint.ts';
import { type Tool, toolName, toolParameters } from '../../shared/tools.ts';
import { ownTemplate } from './template.ts';
import type { Tokenizer } from './tokenizer.ts';
import { PROBE } from './tool-support.ts';

export type CallForm = {
  /** What stands in an answer's text before and after a call, or a list of them; '' where nothing does. */
  open: string;
  close: string;
  list: boolean;
  argumentsKey: string;
  /** What the model has written when the JSON of its first call begins, special tokens and all. */
  opening: string;
};

export type ReadCall = { name: string; arguments: Record<string, unknown> };

/** Throws one sentence that says why tools cannot be served. */
export function callFormOf(tokenizer: Tokenizer): CallForm {
  const { lists, calls, example } = ownTemplate(tokenizer).tools;
  if (!lists) throw new Error("the model's chat template lists no tools: serve a model whose template does, or ask without tools");
  if (calls === null) throw new Error("the model's chat template writes no tool calls: serve a model whose template does, or ask without tools");
  const found = example === null ? null : findCall(example);
  const visible = example === null ? '' : tokenizer.decode(tokenizer.encodePieces([{ text: example, loss: false, special: true }]).ids, { skipSpecialTokens: true });
  const seen = findCall(visible);
  if (found === null || seen === null) throw new Error("the model's chat template writes tool calls in a form that is not known here (known is JSON of name and arguments): their text could not be told from another");
  const before = visible.slice(0, seen.start).trim();
  const after = visible.slice(seen.end).trim();
  const list = before.endsWith('[') && after.startsWith(']');
  return {
    // a thinking model's template writes its empty thoughts before: the mark is the word next to the call
    open: (list ? before.slice(0, -1) : before).trim().split(/\s/).at(-1)!, close: (list ? after.slice(1) : after).trim().split(/\s/)[0], list,
    argumentsKey: seen.argumentsKey, opening: example!.slice(0, found.start),
  };
}

/** The JSON of the probe's call in a text. */
function findCall(text: string): { start: number; end: number; argumentsKey: string } | null {
  for (let start = text.indexOf('{'); start >= 0; start = text.indexOf('{', start + 1)) {
    for (let end = text.indexOf('}', start) + 1; end > 0; end = text.indexOf('}', end) + 1) {
      const value = parsed(text.slice(start, end));
      if (value?.name !== PROBE.name) continue;
      const [key] = Object.entries(value).find(([, part]) => (part as Record<string, unknown> | null)?.[PROBE.key] === PROBE.value) ?? [];
      if (key !== undefined) return { start, end, argumentsKey: key };
    }
  }
  return null;
}

/** What the JSON of one call of these tools must be. Throws where a tool's name is not one of them. */
export function callConstraint(form: CallForm, tools: Tool[]): Constraint {
  const one = (tool: Tool, place: string): Record<string, unknown> => ({
    type: 'object',
    properties: { name: { const: toolName(tool) }, [form.argumentsKey]: movedInto(toolParameters(tool), `${place}/properties/${form.argumentsKey}`) },
    required: ['name', form.argumentsKey],
    additionalProperties: false,
  });
  const schema = tools.length === 1 ? one(tools[0], '#') : { anyOf: tools.map((tool, i) => one(tool, `#/anyOf/${i}`)) };
  return { type: 'jsonSchema', schema, enforce: 'mask' };
}

/** A schema whose own references still lead into it when it stands at another place. */
function movedInto<Value>(value: Value, place: string): Value {
  if (Array.isArray(value)) return value.map((part: unknown) => movedInto(part, place)) as Value;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]: [string, unknown]) => [
    key, key === '$ref' && typeof part === 'string' && part.startsWith('#') ? place + part.slice(1) : movedInto(part, place),
  ])) as Value;
}

export type CallPart = { text: string; calls: ReadCall[] };

/** One answer as it comes: `push` gives what of it is settled, text that is no call and calls that are whole. */
export interface CallReader {
  push(text: string): CallPart;
  /** What is left: a call that is not whole is text. */
  end(): CallPart;
}

export function createCallReader(form: CallForm, tools: Tool[]): CallReader {
  const names = new Set(tools.map(toolName));
  const readWhole = (text: string): ReadCall[] | null => {
    const value: unknown = parsed(text);
    const list: unknown[] = Array.isArray(value) ? value : [value];
    const calls = list.map((item) => {
      const { name, [form.argumentsKey]: args } = (item ?? {}) as Record<string, unknown>;
      return typeof name === 'string' && names.has(name) && typeof args === 'object' && args !== null && !Array.isArray(args) ? { name, arguments: args as Record<string, unknown> } : null;
    });
    return calls.length > 0 && calls.every((call) => call !== null) ? calls : null;
  };
  return form.open === '' ? wholeAnswer(readWhole) : marked(form, readWhole);
}

type ReadWhole = (text: string) => ReadCall[] | null;

/** The answer is calls or it is text: the first character that is no space says which it may be. */
function wholeAnswer(readWhole: ReadWhole): CallReader {
  let held = '';
  let isText = false;
  return {
    push(text) {
      if (isText) return { text, calls: [] };
      held += text;
      isText = /^\s*[^\s{[]/.test(held);
      if (!isText) return { text: '', calls: [] };
      const settled = held;
      held = '';
      return { text: settled, calls: [] };
    },
    end() {
      const calls = readWhole(held);
      return calls ? { text: '', calls } : { text: held, calls: [] };
    },
  };
}

/** Calls stand between marks. White space before a call goes with it; so does what follows the last. */
function marked({ open, close }: CallForm, readWhole: ReadWhole): CallReader {
  let held = '';
  let called = false;
  function read(ended: boolean): CallPart {
    const part: CallPart = { text: '', calls: [] };
    for (;;) {
      const at = held.indexOf(open);
      if (at < 0) break;
      const end = close === '' ? -1 : held.indexOf(close, at + open.length);
      if (end < 0 && !ended) {
        const before = held.slice(0, at).trimEnd();
        part.text += settle(before);
        held = held.slice(before.length);
        return part;
      }
      const calls = readWhole(held.slice(at + open.length, end < 0 ? undefined : end));
      const next = end < 0 ? held.length : end + close.length;
      if (calls) {
        part.text += settle(held.slice(0, at).trimEnd());
        part.calls.push(...calls);
        called = true;
      } else part.text += settle(held.slice(0, next));
      held = held.slice(next);
    }
    const keep = ended ? 0 : mayGrow(held, open);
    const settled = held.slice(0, held.length - keep);
    part.text += settle(settled);
    held = keep === 0 ? '' : held.slice(-keep);
    return part;
  }
  /** White space between two calls, and after the last, is nobody's. */
  const settle = (text: string): string => (called && text.trim() === '' ? '' : text);
  return {
    push(text) {
      held += text;
      return read(false);
    },
    end: () => read(true),
  };
}

/** How many characters at the end are white space, or may be the beginning of a mark, or both. */
function mayGrow(text: string, mark: string): number {
  let keep = 0;
  for (let n = Math.min(mark.length - 1, text.length); n > 0; n--) {
    if (text.endsWith(mark.slice(0, n))) {
      keep = n;
      break;
    }
  }
  const before = text.slice(0, text.length - keep);
  return keep + before.length - before.trimEnd().length;
}

function parsed(text: string): Record<string, unknown> | null {
  try {
    return JSON.parse(text) as Record<string, unknown> | null;
  } catch {
    return null;
  }
}
