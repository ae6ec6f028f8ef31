/**
 * What the engine says of a request, in the shapes of OpenAI's API: whole, or as the chunks of a stream. Log-probabilities of every drawn token
 * are told, the end-of-turn token's too. Nothing here waits or writes.
 */
import { randomBytes } from 'node:crypto';
import type { FinishReason } from '../../shared/sampling.ts';
import type { ServedEvent, ShownToken } from '../../shared/serving.ts';
import type { Asked } from './requests.ts';

export type Endpoint = 'chat' | 'completion';

export type Reply = {
  /** The chunks of a stream that an event makes; they come one by one, or are thrown away. */
  hear(event: ServedEvent): object[];
  /** After the last event. */
  whole(): object;
  /** The stream's last chunk, when usage was asked for. */
  usageChunk(): object;
  usage(): Usage;
};

export type Usage = { prompt_tokens: number; completion_tokens: number; total_tokens: number };

type Call = { id: string; type: 'function'; function: { name: string; arguments: string } };
type Choice = { text: string; tokens: ShownToken[]; calls: Call[]; finishReason: FinishReason | null; offset: number };

/** JSON has no infinities. */
const LEAST = -9999;
const finite = (logprob: number): number => Math.max(LEAST, logprob);

export function createReply(endpoint: Endpoint, { request }: Asked, about: { id: string; model: string; created: number }): Reply {
  const { n, prompts, echo } = request;
  const choices = Array.from({ length: prompts.length * n }, (): Choice => ({ text: '', tokens: [], calls: [], finishReason: null, offset: 0 }));
  let promptTokens = 0, completionTokens = 0;
  const usage = (): Usage => ({ prompt_tokens: promptTokens, completion_tokens: completionTokens, total_tokens: promptTokens + completionTokens });
  const head = (object: string): object => ({ ...about, object });
  const chunkHead = head(endpoint === 'chat' ? 'chat.completion.chunk' : 'text_completion');

  const chunk = (index: number, text: string, tokens: ShownToken[], finishReason: FinishReason | null, role?: 'assistant'): object => {
    const common = { index, logprobs: logprobsOf(tokens, choices[index].offset), finish_reason: reasonOf(finishReason, choices[index].calls) };
    const delta = { ...(role && { role }), ...((role || text !== '') && { content: text }) };
    return { ...chunkHead, choices: [endpoint === 'chat' ? { ...common, delta } : { ...common, text }] };
  };

  const logprobsOf = (tokens: ShownToken[], offset: number): object | null => {
    if (request.logprobs === null) return null;
    return endpoint === 'chat' ? { content: tokens.map(chatLogprob), refusal: null } : completionLogprobs(tokens, offset);
  };

  function add(index: number, text: string, tokens: ShownToken[]): object[] {
    const choice = choices[index];
    const chunks = text === '' && tokens.length === 0 ? [] : [chunk(index, text, tokens, null)];
    choice.text += text;
    choice.tokens.push(...tokens);
    for (const token of tokens) choice.offset += token.text.length;
    return chunks;
  }

  return {
    usage,
    hear(event) {
      if (event.type === 'prompt') {
        promptTokens += event.tokens;
        const indices = Array.from({ length: n }, (_, k) => event.prompt * n + k);
        if (endpoint === 'chat') return indices.map((index) => chunk(index, '', [], null, 'assistant'));
        return echo ? indices.flatMap((index) => add(index, event.text, event.shown)) : [];
      }
      if (event.type === 'token') {
        completionTokens++;
        return add(event.choice, event.text, event.shown ? [event.shown] : []);
      }
      if (event.type === 'text') return add(event.choice, event.text, []);
      if (event.type === 'call') {
        const { calls } = choices[event.choice];
        const call: Call = { id: callId(), type: 'function', function: { name: event.name, arguments: JSON.stringify(event.arguments) } };
        calls.push(call);
        const delta = { tool_calls: [{ index: calls.length - 1, ...call }] };
        return [{ ...chunkHead, choices: [{ index: event.choice, logprobs: null, finish_reason: null, delta }] }];
      }
      if (event.type !== 'end') return [];
      choices[event.choice].finishReason = event.finishReason;
      return [chunk(event.choice, '', [], event.finishReason)];
    },
    whole() {
      const all = choices.map(({ text, tokens, calls, finishReason }, index) => {
        const common = { index, logprobs: logprobsOf(tokens, 0), finish_reason: reasonOf(finishReason, calls) };
        return endpoint === 'chat' ? { ...common, message: { role: 'assistant', content: text === '' && calls.length > 0 ? null : text, ...(calls.length > 0 && { tool_calls: calls }), refusal: null } } : { ...common, text };
      });
      return { ...head(endpoint === 'chat' ? 'chat.completion' : 'text_completion'), choices: all, usage: usage() };
    },
    usageChunk: () => ({ ...chunkHead, choices: [], usage: usage() }),
  };
}

export function embeddingsReply(events: ServedEvent[], model: string, base64: boolean): object {
  const found = events.filter((event) => event.type === 'embedding').sort((a, b) => a.input - b.input);
  const tokens = found.reduce((sum, event) => sum + event.tokens, 0);
  const data = found.map(({ input, vector }) => ({
    object: 'embedding', index: input,
    embedding: base64 ? Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64') : Array.from(vector),
  }));
  return { object: 'list', data, model, usage: { prompt_tokens: tokens, total_tokens: tokens } };
}

function reasonOf(reason: FinishReason | null, calls: Call[]): string | null {
  return reason === null ? null : reason === 'length' ? 'length' : calls.length > 0 ? 'tool_calls' : 'stop';
}

/** Nine letters and digits: Mistral's templates take no other when the client sends the call back. */
function callId(): string {
  return Array.from(randomBytes(9), (byte) => (byte % 36).toString(36)).join('');
}

function chatLogprob({ text, logprob, alternatives }: ShownToken): object {
  const told = (token: string, of: number | null) => ({ token, logprob: finite(of ?? LEAST), bytes: bytesOf(token) });
  return { ...told(text, logprob), top_logprobs: alternatives.map((other) => told(other.text, other.logprob)) };
}

/** Of a text; null where a token is part of a character. */
function bytesOf(text: string): number[] | null {
  return text.includes('\uFFFD') ? null : [...Buffer.from(text)];
}

/** The legacy shape: columns, and at each place the likeliest with the one that stands there. */
function completionLogprobs(tokens: ShownToken[], start: number): object {
  let offset = start;
  const offsets = tokens.map(({ text }) => (offset += text.length) - text.length);
  return {
    tokens: tokens.map(({ text }) => text),
    token_logprobs: tokens.map(({ logprob }) => (logprob === null ? null : finite(logprob))),
    top_logprobs: tokens.map(({ text, logprob, alternatives }) => (logprob === null ? null : likeliest([...alternatives, { text, logprob }]))),
    text_offset: offsets,
  };
}

/** By text; of two tokens with the same text the likelier one. */
function likeliest(tokens: { text: string; logprob: number }[]): Record<string, number> {
  const told: [string, number][] = [...tokens].sort((a, b) => a.logprob - b.logprob).map(({ text, logprob }) => [text, finite(logprob)]);
  return Object.fromEntries(told);
}
