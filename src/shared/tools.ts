/**
 * Tools in conversations, for every layer: what a model may call, the calls it makes, and both read from JSON as people write it. The names of the
 * fields are those of the files (OpenAI's API, transformers' chat templates, TRL's `tools` column): rows are exported as they are. Not here:
 * how a model spells a call (engine/tokenizer/call-format.ts).
 */
import { z } from 'zod';

/** A JSON schema of a function, mostly `{ type: 'function', function: { name, description, parameters } }`. Templates get it as it is. */
export const Tool = z.record(z.string(), z.unknown()).refine((tool) => toolName(tool) !== null, 'names no function');
export type Tool = z.infer<typeof Tool>;

/** Arguments are a mapping, never their text: templates write them their own way. */
export const ToolCall = z.strictObject({
  id: z.string().optional(),
  type: z.literal('function'),
  function: z.strictObject({ name: z.string().min(1), arguments: z.record(z.string(), z.unknown()) }),
});
export type ToolCall = z.infer<typeof ToolCall>;

export const Tools = z.array(Tool).min(1);
export const ToolCalls = z.array(ToolCall).min(1);

/** Null: it has none. Cohere's tools have theirs at the top. */
export function toolName(tool: Record<string, unknown>): string | null {
  const { name } = typeof tool.function === 'object' && tool.function !== null ? (tool.function as Record<string, unknown>) : tool;
  return typeof name === 'string' && name !== '' ? name : null;
}

/** The schema of its arguments; any mapping where it says nothing. */
export function toolParameters(tool: Tool): Record<string, unknown> {
  const { parameters } = typeof tool.function === 'object' && tool.function !== null ? (tool.function as Record<string, unknown>) : tool;
  return isMapping(parameters) ? parameters : { type: 'object' };
}

/** Where in the JSON something is wrong, and what. */
export type ToolMistake = { at: string; what: 'not-json' | 'not-list' | 'not-mapping' | 'no-name' | 'bad-arguments' | 'bad-id' | 'bad-type'; detail?: string };
export class ToolError extends Error {
  readonly mistake: ToolMistake;
  constructor(mistake: ToolMistake) {
    super(`${mistake.at} ${MISTAKES[mistake.what]}${mistake.detail === undefined ? '' : ` (${mistake.detail})`}`);
    this.mistake = mistake;
  }
}
const MISTAKES: Record<ToolMistake['what'], string> = {
  'not-json': 'is not JSON', 'not-list': 'is not a list', 'not-mapping': 'is not an object', 'no-name': 'names no function', 'bad-arguments': 'is neither an object nor the JSON text of one',
  'bad-id': 'is not text', 'bad-type': 'is not "function"',
};

/** A list of tools, or its JSON text; undefined where there are none. A bare schema with a name becomes a function's. Throws a ToolError. */
export function readTools(value: unknown, field = 'tools'): Tool[] | undefined {
  const list = typeof value === 'string' ? (value.trim() === '' ? [] : parse(value, field)) : (value ?? []);
  if (!Array.isArray(list)) throw new ToolError({ at: field, what: 'not-list' });
  if (list.length === 0) return undefined;
  return list.map((item: unknown, i) => {
    const at = `${field}[${i}]`;
    const tool = typeof item === 'string' ? parse(item, at) : item;
    if (!isMapping(tool)) throw new ToolError({ at, what: 'not-mapping' });
    if (toolName(tool) === null) throw new ToolError({ at, what: 'no-name' });
    // LLaMA-Factory's and older OpenAI's spelling; Cohere's own (parameter_definitions) is one that only its template knows
    return tool.function === undefined && tool.parameter_definitions === undefined ? { type: 'function', function: tool } : tool;
  });
}

/** A list of calls, one call, or the JSON text of either; undefined where there are none. A call is OpenAI's, or a name and arguments alone. Throws a ToolError. */
export function readToolCalls(value: unknown, field = 'tool_calls'): ToolCall[] | undefined {
  const given = typeof value === 'string' ? (value.trim() === '' ? [] : parse(value, field)) : (value ?? []);
  const list: unknown[] = Array.isArray(given) ? given : [given];
  return list.length === 0 ? undefined : list.map((call, i) => readCall(call, `${field}[${i}]`));
}

function readCall(call: unknown, at: string): ToolCall {
  if (!isMapping(call)) throw new ToolError({ at, what: 'not-mapping' });
  const { id = null, type = 'function' } = call;
  if (id !== null && typeof id !== 'string') throw new ToolError({ at: `${at}.id`, what: 'bad-id' });
  if (type !== 'function' && type !== null) throw new ToolError({ at: `${at}.type`, what: 'bad-type' });
  const inner = call.function === undefined ? call : call.function;
  const where = call.function === undefined ? at : `${at}.function`;
  if (!isMapping(inner)) throw new ToolError({ at: where, what: 'not-mapping' });
  const name = toolName(inner);
  if (name === null) throw new ToolError({ at: where, what: 'no-name' });
  return { ...(id !== null && { id }), type: 'function', function: { name, arguments: readArguments(inner.arguments ?? {}, `${where}.arguments`) } };
}

function readArguments(value: unknown, at: string): Record<string, unknown> {
  const read = typeof value === 'string' ? (value.trim() === '' ? {} : parse(value, at)) : value;
  if (!isMapping(read)) throw new ToolError({ at, what: 'bad-arguments' });
  return read;
}

function parse(text: string, at: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ToolError({ at, what: 'not-json', detail: (error as Error).message });
  }
}

const isMapping = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
