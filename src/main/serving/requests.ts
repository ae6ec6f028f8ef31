/**
 * Bodies of OpenAI's API as they are accepted here, and what they ask of the engine. Fields that would be ignored are refused by name;
 * null counts as not given. Beside OpenAI's own fields, those that llama.cpp's and vLLM's servers take for the other filters.
 * Limits follow the API reference but where the engine's are narrower.
 */
import { randomInt } from 'node:crypto';
import { z } from 'zod';
import { Constraint } from '../../shared/constraint.ts';
import { Sampling } from '../../shared/sampling.ts';
import { type CompleteRequest, type EmbedRequest, MOST_CHOICES, type ServedPrompt } from '../../shared/serving.ts';
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
const ChatMessage = z.strictObject({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
  content: z.union([z.string(), z.array(TextPart).min(1)]),
});

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
  const { messages, max_tokens, max_completion_tokens, logprobs, top_logprobs, response_format, ...rest } = read(ChatBody, body, served);
  if (top_logprobs !== undefined && !logprobs) throw invalid('top_logprobs', 'top_logprobs wants logprobs: true');
  const constraint = readFormat(response_format);
  const texts = messages.map(({ role, content }) => ({
    role: role === 'developer' ? ('system' as const) : role,
    content: typeof content === 'string' ? content : content.map(({ text }) => text).join(''),
  }));
  return asked(rest, { prompts: [{ messages: texts }], maxTokens: max_completion_tokens ?? max_tokens ?? null, logprobs: logprobs ? (top_logprobs ?? 0) : null, echo: false, constraint });
}

export function readCompletion(body: unknown, served: string): Asked {
  const { prompt, max_tokens, logprobs, echo, ...rest } = read(CompletionBody, body, served);
  if (max_tokens === 0 && !echo) throw invalid('max_tokens', 'max_tokens: 0 wants echo: true, or nothing is answered');
  return asked(rest, { prompts: prompt, maxTokens: max_tokens, logprobs: logprobs ?? null, echo, constraint: null });
}

export function readEmbedding(body: unknown, served: string): { request: Omit<EmbedRequest, 'id'>; base64: boolean } {
  const { input, encoding_format } = read(EmbeddingBody, body, served);
  return { request: { type: 'embed', inputs: input }, base64: encoding_format === 'base64' };
}

function readFormat(format: z.infer<typeof ResponseFormat> | undefined): Constraint | null {
  if (!format || format.type === 'text') return null;
  return Constraint.parse(format.type === 'json_object' ? { type: 'jsonObject' } : { type: 'jsonSchema', schema: format.json_schema.schema });
}

type Sampled = Pick<z.infer<typeof ChatBody>, keyof typeof sampled>;

function asked(body: Sampled, of: Pick<CompleteRequest, 'prompts' | 'maxTokens' | 'logprobs' | 'echo' | 'constraint'>): Asked {
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
