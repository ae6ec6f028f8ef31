/**
 * Bodies of OpenAI's API as they are accepted here, and what they ask of the engine. Fields that would be ignored are refused by name;
 * null counts as not given. Beside OpenAI's own fields, those that llama.cpp's and vLLM's servers take for the other filters.
 * Limits follow the API reference but where the engine's are narrower.
 */
import { randomInt } from 'node:crypto';
import { z } from 'zod';
import { Constraint } from '../../shared/constraint.ts';
import { type Message } from '../../shared/dataset.ts';
import { Sampling } from '../../shared/sampling.ts';
import { type CompleteRequest, type EmbedRequest, MOST_CHOICES, type ServedPrompt } from '../../shared/serving.ts';
import { readToolCalls, type Tool, ToolError, toolName } from '../../shared/tools.ts';
import { ApiError } from './api-error.ts';

/** Prompts or inputs of one request. */
const MOST_PROMPTS = 256;
const MOST_STOPS = 16;
/** Likeliest tokens told at a place. */
const MOST_LOGPROBS = 20;
/** The legacy endpoint's default. */
const COMPLETION_TOKENS = 16;

/** Who asks and what for says nothing to the engine; the API stores nothing. */
const accepted = { model: z.string(), user: z.string().optional(), metadata: z.record(z.string(), z.string()).optional(), store: z.literal(false).optional() };

const sampled = {
  ...accepted,
  n: z.int().min(1).max(MOST_CHOICES).default(1),
  temperature: z.number().min(0).max(2).default(1),
  top_p: z.number().gt(0).max(1).default(1),
  top_k: z.int().min(0).default(0),
  min_p: z.number().min(0).max(1).default(0),
  repetition_penalty: z.number().gt(0).default(1),
  frequency_penalty: z.number().min(-2).max(2).default(0),
  presence_penalty: z.number().min(-2).max(2).default(0),
  seed: z.int().min(0).max(2 ** 32 - 1).optional(),
  stop: z.union([z.string().min(1).transform((stop) => [stop]), z.array(z.string().min(1)).max(MOST_STOPS)]).default([]),
  stream: z.boolean().default(false),
  stream_options: z.strictObject({ include_usage: z.boolean().default(false) }).optional(),
};

const TextPart = z.strictObject({ type: z.literal('text'), text: z.string() });
const Content = z.union([z.string(), z.array(TextPart).min(1)]);
const FunctionTool = z.strictObject({
  type: z.literal('function'),
  function: z.strictObject({ name: z.string().regex(/^[\w-]{1,64}$/, 'letters, digits, _ and - alone, at most 64'), description: z.string().optional(), parameters: z.record(z.string(), z.unknown()).optional(), strict: z.boolean().nullish() }),
});
/** Arguments are JSON text here. */
const Call = z.strictObject({ id: z.string(), type: z.literal('function'), function: z.strictObject({ name: z.string().min(1), arguments: z.string() }) });
const ChatMessage = z.discriminatedUnion('role', [
  z.strictObject({ role: z.enum(['system', 'developer', 'user']), content: Content }),
  // what an answer of this server has beside, sent back as it came
  z.strictObject({ role: z.literal('assistant'), content: Content.nullish(), tool_calls: z.array(Call).min(1).optional(), refusal: z.null().optional() }),
  z.strictObject({ role: z.literal('tool'), content: Content, tool_call_id: z.string() }),
]);
/** A tool whose schema is enforced where one is asked for by name or must be called, whatever `strict` says. */
const ToolChoice = z.union([z.enum(['none', 'auto', 'required']), z.strictObject({ type: z.literal('function'), function: z.strictObject({ name: z.string() }) })]);

/** A schema is enforced whole, whatever `strict` says. */
const ResponseFormat = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('text') }),
  z.strictObject({ type: z.literal('json_object') }),
  z.strictObject({
    type: z.literal('json_schema'),
    json_schema: z.strictObject({
      name: z.string(), description: z.string().optional(), strict: z.boolean().nullish(), schema: z.union([z.boolean(), z.record(z.string(), z.unknown())]),
    }),
  }),
]);

const ChatBody = z.strictObject({
  ...sampled,
  messages: z.array(ChatMessage).min(1),
  max_tokens: z.int().min(1).optional(),
  max_completion_tokens: z.int().min(1).optional(),
  logprobs: z.boolean().default(false),
  top_logprobs: z.int().min(0).max(MOST_LOGPROBS).optional(),
  response_format: ResponseFormat.optional(),
  tools: z.array(FunctionTool).min(1).optional(),
  tool_choice: ToolChoice.optional(),
  parallel_tool_calls: z.boolean().default(true),
});

const Ids = z.array(z.int().min(0)).min(1);
/** One text, several, one as tokens, several as tokens. */
const Texts = z.union([
  z.string().transform((text): ServedPrompt[] => [{ raw: text }]),
  z.array(z.string()).min(1).max(MOST_PROMPTS).transform((texts): ServedPrompt[] => texts.map((raw) => ({ raw }))),
  Ids.transform((tokens): ServedPrompt[] => [{ tokens }]),
  z.array(Ids).min(1).max(MOST_PROMPTS).transform((all): ServedPrompt[] => all.map((tokens) => ({ tokens }))),
]);

const CompletionBody = z.strictObject({
  ...sampled,
  prompt: Texts,
  max_tokens: z.int().min(0).default(COMPLETION_TOKENS),
  logprobs: z.int().min(0).max(MOST_LOGPROBS).optional(),
  echo: z.boolean().default(false),
});

const EmbeddingBody = z.strictObject({ ...accepted, input: Texts, encoding_format: z.enum(['float', 'base64']).default('float') });

/** A request to the engine but for its id, and what the answer's shape depends on. */
export type Asked = { request: Omit<CompleteRequest, 'id'>; stream: boolean; includeUsage: boolean };

export function readChat(body: unknown, served: string): Asked {
  const { messages, max_tokens, max_completion_tokens, logprobs, top_logprobs, response_format, tools, tool_choice, parallel_tool_calls: parallel, ...rest } = read(ChatBody, body, served);
  if (top_logprobs !== undefined && !logprobs) throw invalid('top_logprobs', 'top_logprobs wants logprobs: true');
  const constraint = readFormat(response_format);
  const calls = readTools(tools, tool_choice, parallel);
  if (calls && constraint) throw invalid('response_format', "response_format and tools: a call is no answer of that form. Send one of them, or tool_choice: 'none'");
  return asked(rest, { prompts: [{ messages: messages.map(readMessage), ...(calls && { tools: calls.tools }) }], calls, maxTokens: max_completion_tokens ?? max_tokens ?? null, logprobs: logprobs ? (top_logprobs ?? 0) : null, echo: false, constraint });
}

export function readCompletion(body: unknown, served: string): Asked {
  const { prompt, max_tokens, logprobs, echo, ...rest } = read(CompletionBody, body, served);
  if (max_tokens === 0 && !echo) throw invalid('max_tokens', 'max_tokens: 0 wants echo: true, or nothing is answered');
  return asked(rest, { prompts: prompt, maxTokens: max_tokens, logprobs: logprobs ?? null, echo, constraint: null, calls: null });
}

export function readEmbedding(body: unknown, served: string): { request: Omit<EmbedRequest, 'id'>; base64: boolean } {
  const { input, encoding_format } = read(EmbeddingBody, body, served);
  return { request: { type: 'embed', inputs: input }, base64: encoding_format === 'base64' };
}

/** Null: none may be called, and none is told of. */
function readTools(tools: Tool[] | undefined, choice: z.infer<typeof ToolChoice> | undefined, parallel: boolean): CompleteRequest['calls'] {
  if (tools === undefined) {
    if (choice === undefined || choice === 'none' || choice === 'auto') return null;
    throw invalid('tool_choice', 'tool_choice wants tools');
  }
  const names = tools.map(toolName);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw invalid('tools', `two tools are named ${twice}`);
  if (choice === 'none') return null;
  if (choice === undefined || choice === 'auto') return { tools, force: null, parallel };
  const of = choice === 'required' ? tools : tools.filter((tool) => toolName(tool) === choice.function.name);
  if (of.length === 0) throw invalid('tool_choice', `tool_choice names ${(choice as { function: { name: string } }).function.name}, which is none of the tools`);
  return { tools, force: { of }, parallel };
}

function readMessage(message: z.infer<typeof ChatMessage>, at: number): Message {
  const { role, content } = message;
  const text = typeof content === 'string' ? content : (content ?? []).map((part) => part.text).join('');
  if (role === 'tool') return { role, content: text, tool_call_id: message.tool_call_id };
  if (role !== 'assistant') return { role: role === 'developer' ? 'system' : role, content: text };
  if (!message.tool_calls) {
    if (content === undefined || content === null) throw invalid(`messages[${at}].content`, `messages[${at}]: the assistant says nothing and calls nothing`);
    return { role, content: text };
  }
  try {
    return { role, content: text, tool_calls: readToolCalls(message.tool_calls, `messages[${at}].tool_calls`) };
  } catch (error) {
    throw error instanceof ToolError ? invalid(error.mistake.at, error.message) : error;
  }
}

function readFormat(format: z.infer<typeof ResponseFormat> | undefined): Constraint | null {
  if (!format || format.type === 'text') return null;
  return Constraint.parse(format.type === 'json_object' ? { type: 'jsonObject' } : { type: 'jsonSchema', schema: format.json_schema.schema });
}

type Sampled = Pick<z.infer<typeof ChatBody>, keyof typeof sampled>;

function asked(body: Sampled, of: Pick<CompleteRequest, 'prompts' | 'maxTokens' | 'logprobs' | 'echo' | 'constraint' | 'calls'>): Asked {
  if (body.stream_options && !body.stream) throw invalid('stream_options', 'stream_options wants stream: true');
  const sampling = Sampling.parse({
    temperature: body.temperature, topP: body.top_p, topK: body.top_k, minP: body.min_p, repetitionPenalty: body.repetition_penalty,
    frequencyPenalty: body.frequency_penalty, presencePenalty: body.presence_penalty,
    stop: body.stop, seed: body.seed ?? randomInt(2 ** 32),
  });
  return { request: { type: 'complete', n: body.n, sampling, ...of }, stream: body.stream, includeUsage: body.stream_options?.include_usage ?? false };
}

function read<T extends z.ZodType<{ model: string }>>(schema: T, body: unknown, served: string): z.infer<T> {
  const given = typeof body === 'object' && body !== null ? Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null)) : body;
  const parsed = schema.safeParse(given);
  if (!parsed.success) throw explain(parsed.error.issues[0]);
  if (parsed.data.model !== served) {
    throw new ApiError(404, `The model '${parsed.data.model}' does not exist: this server has '${served}'`, { code: 'model_not_found', param: 'model' });
  }
  return parsed.data;
}

function explain(issue: z.core.$ZodIssue): ApiError {
  if (issue.code === 'unrecognized_keys') {
    const name = [...issue.path, issue.keys[0]].join('.');
    return new ApiError(400, `Unrecognized request argument supplied: ${name} (it is not served here, and would otherwise be ignored)`, { param: name });
  }
  const param = issue.path.join('.');
  return invalid(param, param === '' ? 'the body must be a JSON object' : `Invalid value for '${param}': ${issue.message}`);
}

function invalid(param: string, message: string): ApiError {
  return new ApiError(400, message, { param: param || null, code: 'invalid_value' });
}
