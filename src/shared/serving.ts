/**
 * server ↔ engine: requests to a model that answers many at once, and what comes back of each. Plain data; main made and checked it
 * (main/serving/requests.ts), so there is no schema here. Not the wire format of any client.
 */
import type { Constraint } from './constraint.ts';
import type { Message } from './dataset.ts';
import type { FinishReason, Sampling } from './sampling.ts';
import type { Tool } from './tools.ts';

/** What a completion starts from. Raw text and tokens are continued as they are; messages go through the model's template. */
export type ServedPrompt = { raw: string } | { messages: Message[]; tools?: Tool[]; /** what the answer begins with, special tokens and all; it is not told again */ opening?: string } | { tokens: number[] };

export type CompleteRequest = {
  type: 'complete';
  /** The server's own, never used twice. */
  id: number;
  prompts: ServedPrompt[];
  /** Completions of each prompt; together they are choice prompt · n + k. */
  n: number;
  sampling: Omit<Sampling, 'maxTokens'>;
  /** New tokens a completion may have; null: what the context leaves. 0 only looks at the prompt. */
  maxTokens: number | null;
  /** Likeliest tokens told at each place beside the token that stands there; null: no log-probabilities. */
  logprobs: number | null;
  /** What every completion must be. */
  constraint: Constraint | null;
  /** What the answers to a chat may call, and whether they must: null as the model likes, or one of `of`, which nothing else may stand beside. */
  calls: { tools: Tool[]; force: { of: Tool[] } | null; /** tell more than the first */ parallel: boolean } | null;
  /** Tell of the prompt's tokens, too. */
  echo: boolean;
};

/** Mean-pooled hidden states of each input, of length 1. */
export type EmbedRequest = { type: 'embed'; id: number; inputs: ServedPrompt[] };

export type ServeRequest = CompleteRequest | EmbedRequest;

/** A token with its log-probability (nats) under the model itself; null at the start of a text, which nothing comes before. */
export type ShownToken = { text: string; logprob: number | null; alternatives: { text: string; logprob: number }[] };

/** Of one request, by its id. Every request ends with one `finished` or `refused`. */
export type ServedEvent =
  /** The prompt has been read; `shown` and `text` with echo alone. */
  | { type: 'prompt'; id: number; prompt: number; tokens: number; text: string; shown: ShownToken[] }
  /** `text` is what the token added: nothing while a character or a stop string may still be unfinished. */
  | { type: 'token'; id: number; choice: number; text: string; shown: ShownToken | null }
  /** Text that had been held back, where no token comes with it. */
  | { type: 'text'; id: number; choice: number; text: string }
  /** A whole call of a tool; the text it was written as is not told. */
  | { type: 'call'; id: number; choice: number; name: string; arguments: Record<string, unknown> }
  | { type: 'end'; id: number; choice: number; finishReason: FinishReason }
  | { type: 'embedding'; id: number; input: number; tokens: number; vector: Float32Array }
  | { type: 'finished'; id: number }
  /** One sentence; nothing was computed. `tooLong`: for the model's context. */
  | { type: 'refused'; id: number; message: string; tooLong: boolean };

/** What a model that is served can take. */
export type ServedModel = {
  /** Tokens of prompt and completion together. */
  contextLength: number;
  /** Tokens of keys and values that all running requests share. */
  cacheTokens: number;
};

/** Completions of one prompt at most: they run side by side, and a step of the engine has so many rows. */
export const MOST_CHOICES = 32;
