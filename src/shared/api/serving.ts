/** The served model: one at a time, over HTTP, for other programs of this machine. What it serves and who may ask is main/serving/'s. */
import { eventIterator, oc, type } from '@orpc/contract';
import { z } from 'zod';

/** A request as people watch it. */
export type ServedRequest = {
  id: number;
  endpoint: 'chat/completions' | 'completions' | 'embeddings';
  state: 'waiting' | 'running' | 'done' | 'cancelled' | 'failed';
  /** Completions, or inputs to embed. */
  choices: number;
  /** 0 until they are known. */
  promptTokens: number;
  completionTokens: number;
  /** Of all its completions together, since it was asked for; null before the first token. */
  tokensPerSecond: number | null;
};

export type ServingState = {
  state: 'off' | 'loading' | 'on' | 'failed';
  model: string | null;
  /** What clients are given: http://127.0.0.1:PORT/v1 */
  url: string | null;
  token: string | null;
  /** Tokens of prompt and answer together. */
  contextLength: number | null;
  /** One sentence, when failed. */
  error: string | null;
  /** Open ones and the last that ended, newest first. */
  requests: ServedRequest[];
  /** Of all requests together, over the last seconds. */
  tokensPerSecond: number;
};

export const serving = {
  /** The state whenever it changes, at most four times a second. */
  watch: oc.output(eventIterator(type<ServingState>())),
  /** Loads the model and listens; token null: a new one is made. Returns when it is on, throws why it is not. */
  start: oc
    .input(z.strictObject({ model: z.string(), port: z.int().min(0).max(65535), token: z.string().nullable() }))
    .output(type<void>()),
  stop: oc.output(type<void>()),
};
