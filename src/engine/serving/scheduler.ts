/**
 * Continuous batching: requests come and go between the steps of one decoding loop. A step reads some of the waiting
 * prompts, then draws one token for every running completion. First come, first served: a request starts as soon as there is room for its
 * rows and for its keys and values. After Orca (Yu et al. 2022), with slots in place of pages: a completion reserves what it may become.
 *
 * A request's answer does not depend on its company: prompts are read alone, in pieces cut by their own length, and a step never has more
 * rows than kernels give the same bits for. Not here: who may ask (main/serving/), and how a token is drawn (sampling/).
 */
import {
  type CompleteRequest, type EmbedRequest, MOST_CHOICES, type ServedEvent, type ServedModel, type ServedPrompt, type ServeRequest, type ShownToken,
} from '../../shared/serving.ts';
import type { Constraint } from '../../shared/constraint.ts';
import type { FinishReason } from '../../shared/sampling.ts';
import type { CacheSequence } from '../model/kv-cache.ts';
import type { LanguageModel } from '../model/language-model.ts';
import { createRandom } from '../random.ts';
import { type Answer, accept, startAnswer, takeText, tokenText } from '../sampling/answer.ts';
import type { CompiledConstraint, Matcher } from '../sampling/constraint/constraint.ts';
import { likeliestIds, sampleToken, summarise } from '../sampling/sample.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { embedding } from './embedding.ts';

/** Rows of a step: up to here a row's product has the same bits whatever rows stand beside it (native/linear.cpp, few_rows). */
export const MOST_ROWS = MOST_CHOICES;
/** Tokens of a prompt read in one step, so that running completions do not wait for a long one. */
const PIECE = 256;
/** Logits held at once, floats: 64 MiB. */
const MOST_LOGITS = 2 ** 24;
/** Bytes of keys and values, unless one context needs more. */
const CACHE_BYTES = 2 ** 30;
/** Constraints kept compiled, those asked for last. */
const KEPT_CONSTRAINTS = 16;

export interface Scheduler {
  readonly served: ServedModel;
  /** Refuses by an event; starts computing by itself. */
  submit(request: ServeRequest): void;
  /** Ends all of a request before the next step; it says `finished`. */
  cancel(id: number): void;
}

/** One prompt of a request with its completions. */
type Prompted = {
  request: CompleteRequest;
  index: number;
  tokens: number[];
  /** Tokens each completion may have. */
  limit: number;
  constraint: CompiledConstraint | null;
  cancelled: boolean;
};
/** `reserved`: as many as there will be completions, which can continue the prefix only when it is whole. */
type Reading = { prompted: Prompted; prefix: CacheSequence; reserved: CacheSequence[]; read: number; shown: ShownToken[] };
type Running = Answer & { prompted: Prompted; choice: number; prefix: CacheSequence; sequence: CacheSequence; next: () => number; matcher: Matcher | null };
type Embedding = { request: EmbedRequest; index: number; tokens: number[]; cancelled: boolean };

/**
 * `emit` hears the events of one step at once, in order. `promptTokens` renders and encodes a prompt, `compile` works out what answers must be, and
 * others are served meanwhile; their errors refuse the request.
 * `failed` hears what ends the loop for good. `cacheTokens` is for tests.
 */
export function createScheduler(
  model: LanguageModel,
  tokenizer: Tokenizer,
  { promptTokens, compile, emit, failed, cacheTokens }: {
    promptTokens: (prompt: ServedPrompt) => number[];
    compile: (constraint: Constraint) => Promise<CompiledConstraint>;
    emit: (events: ServedEvent[]) => void;
    failed: (error: unknown) => void;
    cacheTokens?: number;
  },
): Scheduler {
  const { vocabSize: V, maxPositionEmbeddings } = model.config;
  const served = measure(model, cacheTokens);
  const piece = Math.max(1, Math.min(PIECE, Math.floor(MOST_LOGITS / V)));
  const cache = model.createCache(served.cacheTokens);
  const waiting: (Prompted | Embedding)[] = [];
  const reading: Reading[] = [];
  let running: Running[] = [];
  /** Parts of each request that have not ended. */
  const open = new Map<number, number>();
  const constraints = new Map<string, Promise<CompiledConstraint>>();
  /** Requests whose constraint is being worked out; false: cancelled meanwhile. */
  const compiling = new Map<number, boolean>();
  let events: ServedEvent[] = [];
  let working = false;

  const tell = (...added: ServedEvent[]): void => void events.push(...added);

  function flush(): void {
    if (events.length > 0) emit(events);
    events = [];
  }

  function endPart(id: number): void {
    const left = open.get(id)! - 1;
    if (left > 0) return void open.set(id, left);
    open.delete(id);
    tell({ type: 'finished', id });
  }

  /** Compiling takes milliseconds to seconds, and clients send the same schema again and again. */
  function compiled(constraint: Constraint): Promise<CompiledConstraint> {
    const key = JSON.stringify(constraint);
    const known = constraints.get(key) ?? compile(constraint);
    constraints.delete(key); // the last asked for is last
    constraints.set(key, known);
    if (constraints.size > KEPT_CONSTRAINTS) constraints.delete(constraints.keys().next().value!);
    return known;
  }

  async function submitConstrained(request: CompleteRequest, asked: Constraint): Promise<void> {
    compiling.set(request.id, true);
    try {
      const constraint = await compiled(asked);
      if (compiling.get(request.id)) enter(request, constraint);
      else emit([{ type: 'finished', id: request.id }]);
    } catch (error) {
      emit([{ type: 'refused', id: request.id, message: (error as Error).message, tooLong: false }]);
    }
    compiling.delete(request.id);
  }

  /** Into the line, or refused. */
  function enter(request: ServeRequest, constraint: CompiledConstraint | null): void {
    let prompts: number[][];
    try {
      prompts = (request.type === 'embed' ? request.inputs : request.prompts).map(promptTokens);
    } catch (error) {
      return emit([{ type: 'refused', id: request.id, message: (error as Error).message, tooLong: false }]);
    }
    const refused = refusal(request, prompts, constraint);
    if (refused) return emit([{ type: 'refused', id: request.id, ...refused }]);
    open.set(request.id, prompts.length * (request.type === 'embed' ? 1 : request.n));
    for (const [index, tokens] of prompts.entries()) {
      if (request.type === 'embed') waiting.push({ request, index, tokens, cancelled: false });
      else waiting.push({ request, index, tokens, limit: limitOf(request, tokens), constraint, cancelled: false });
    }
    if (!working) void work();
  }

  /** Why a request cannot be answered, or null. */
  function refusal(request: ServeRequest, prompts: number[][], constraint: CompiledConstraint | null): { message: string; tooLong: boolean } | null {
    for (const tokens of prompts) {
      const stray = tokens.find((id) => !Number.isInteger(id) || id < 0 || id >= V);
      if (stray !== undefined) return { message: `token ${stray} is not one of the model's: ids go from 0 to ${V - 1}`, tooLong: false };
      if (tokens.length === 0) return { message: 'the prompt has no tokens: give it some text', tooLong: false };
      const wanted = request.type === 'embed' ? 0 : (request.maxTokens ?? 1);
      if (tokens.length + wanted > served.contextLength) {
        return {
          message: `the prompt has ${tokens.length} tokens${wanted > 0 ? ` and ${wanted} are to follow` : ''}, the context has ${served.contextLength} in all: shorten the prompt${wanted > 1 ? ' or ask for fewer' : ''}`,
          tooLong: true,
        };
      }
      const least = constraint?.fewestTokens ?? 0;
      if (least > 0 && request.type === 'complete' && least > limitOf(request, tokens)) {
        return { message: `what was asked for takes at least ${least} tokens, and there is room for ${limitOf(request, tokens)}: raise max_tokens, or shorten the prompt`, tooLong: false };
      }
      const whole = request.type === 'embed' ? 0 : tokens.length + request.n * limitOf(request, tokens);
      if (whole > served.cacheTokens) {
        return { message: `${(request as CompleteRequest).n} completions may come to ${whole} tokens, and there is room for ${served.cacheTokens}: ask for fewer, or shorter ones`, tooLong: false };
      }
    }
    return null;
  }

  const limitOf = (request: CompleteRequest, tokens: number[]): number => request.maxTokens ?? served.contextLength - tokens.length;

  /** Whoever is first in line comes in, as long as there is room. */
  function admit(): void {
    for (let first = waiting[0]; first !== undefined; first = waiting[0]) {
      if (!('limit' in first)) return;
      const { tokens, limit, request } = first;
      const n = limit === 0 ? 0 : request.n;
      const rows = running.length + reading.reduce((sum, { reserved }) => sum + reserved.length, 0);
      const own = Array.from({ length: n }, () => limit);
      if (rows + n > MOST_ROWS || !cache.fits([tokens.length, ...own])) return;
      waiting.shift();
      const prefix = cache.open(tokens.length);
      reading.push({ prompted: first, prefix, reserved: own.map((capacity) => cache.open(capacity)), read: 0, shown: [] });
    }
  }

  /** Pieces of the oldest prompts, as many tokens as one long prompt reads in a step. */
  async function readPrompts(): Promise<void> {
    for (let left = piece; left > 0 && reading.length > 0; ) left -= await readPiece();
  }

  /** The next piece of the oldest prompt; with its last one all its completions get their first token. How many tokens it had. */
  async function readPiece(): Promise<number> {
    const one = reading[0];
    const { prompted: { request, tokens, index }, prefix, shown } = one;
    const added = tokens.slice(one.read, one.read + piece);
    const telling = request.echo && request.logprobs !== null;
    const logits = await model.decode(cache, [{ sequence: prefix, tokens: added }], { every: telling });
    const rows = logits.length / V;
    if (telling) {
      if (one.read === 0) shown.push({ text: tokenText(tokens[0], tokenizer), logprob: null, alternatives: [] });
      for (let i = 0; i < added.length && one.read + i + 1 < tokens.length; i++) {
        shown.push(showToken(logits.subarray(i * V, (i + 1) * V), tokens[one.read + i + 1], request.logprobs!));
      }
    }
    one.read += added.length;
    if (one.read < tokens.length) return added.length;
    reading.shift();
    const text = request.echo ? tokenizer.decode(tokens, { skipSpecialTokens: true }) : '';
    tell({ type: 'prompt', id: request.id, prompt: index, tokens: tokens.length, text, shown });
    if (request.maxTokens === 0) {
      cache.close(prefix);
      for (let k = 0; k < request.n; k++) {
        tell({ type: 'end', id: request.id, choice: index * request.n + k, finishReason: 'length' });
        endPart(request.id);
      }
      return added.length;
    }
    const last = logits.subarray((rows - 1) * V);
    for (const sequence of one.reserved) cache.close(sequence);
    const sequences = one.reserved.map(({ capacity }) => cache.open(capacity, prefix));
    for (const [k, sequence] of sequences.entries()) {
      const choice = index * request.n + k;
      // the same number as generate.ts has for the same place: a served answer is that of `attune sample`
      const { next } = createRandom(request.sampling.seed * 1_000_003 + choice);
      const started: Running = { ...startAnswer(tokens, tokenizer, one.prompted.constraint), prompted: one.prompted, choice, prefix, sequence, next, matcher: one.prompted.constraint?.start() ?? null };
      if (draw(started, last.slice())) running.push(started);
    }
    return added.length;
  }

  /** Draws the next token from a row of logits, which is used up; whether the completion goes on. */
  function draw(one: Running, logits: Float32Array): boolean {
    const { request, limit, cancelled } = one.prompted;
    const lse = request.logprobs === null ? 0 : summarise(logits).logSumExp;
    const own = request.logprobs === null ? null : logits.slice();
    const { matcher } = one;
    const context = { prompt: one.prompt, completion: one.ids, mask: matcher?.mask(limit - one.ids.length) };
    const { id, logprob } = sampleToken(logits, context, { ...request.sampling, maxTokens: limit }, one.next);
    matcher?.accept(id);
    const reason = accept(one, id, logprob, tokenizer, { stop: request.sampling.stop, limit, cancelled });
    const finishReason = matcher?.finished ? 'eos' : reason;
    const shown = own && showToken(own, id, request.logprobs!, lse);
    tell({ type: 'token', id: request.id, choice: one.choice, text: takeText(one, finishReason !== null, request.sampling.stop), shown });
    if (finishReason === null) return true;
    end(one, finishReason);
    return false;
  }

  function end(one: Running, finishReason: FinishReason): void {
    cache.close(one.sequence);
    if (one.prefix.children === 0) cache.close(one.prefix);
    tell({ type: 'end', id: one.prompted.request.id, choice: one.choice, finishReason });
    endPart(one.prompted.request.id);
  }

  function showToken(logits: Float32Array, id: number, count: number, lse = summarise(logits).logSumExp): ShownToken {
    const alternatives = likeliestIds(logits, count).map((other) => ({ text: tokenText(other, tokenizer), logprob: logits[other] - lse }));
    return { text: tokenText(id, tokenizer), logprob: logits[id] - lse, alternatives };
  }

  async function embedFirst(): Promise<void> {
    const { request, index, tokens } = waiting.shift() as Embedding;
    tell({ type: 'embedding', id: request.id, input: index, tokens: tokens.length, vector: await embedding(model, tokens) });
    endPart(request.id);
  }

  /** Takes out everything that was cancelled since the last step. */
  function dropCancelled(): void {
    for (let i = waiting.length - 1; i >= 0; i--) {
      const part = waiting[i];
      if (!part.cancelled) continue;
      waiting.splice(i, 1);
      const parts = 'limit' in part ? part.request.n : 1;
      for (let k = 0; k < parts; k++) endPart(part.request.id);
    }
    for (let i = reading.length - 1; i >= 0; i--) {
      const { prompted, prefix, reserved } = reading[i];
      if (!prompted.cancelled) continue;
      reading.splice(i, 1);
      for (const sequence of [...reserved, prefix]) cache.close(sequence);
      for (let k = 0; k < prompted.request.n; k++) endPart(prompted.request.id);
    }
    running = running.filter((one) => {
      if (one.prompted.cancelled) end(one, 'cancelled');
      return !one.prompted.cancelled;
    });
  }

  async function work(): Promise<void> {
    working = true;
    try {
      for (;;) {
        dropCancelled();
        admit();
        if (reading.length > 0) await readPrompts();
        else if (waiting.length > 0 && !('limit' in waiting[0])) await embedFirst();
        else if (running.length === 0) break;
        if (running.length > 0) {
          const step = running;
          const logits = await model.decode(cache, step.map(({ sequence, ids }) => ({ sequence, tokens: [ids.at(-1)!] })));
          running = step.filter((one, i) => draw(one, logits.subarray(i * V, (i + 1) * V)));
        }
        flush();
        await new Promise(setImmediate); // new requests and cancels come in
      }
      flush();
    } catch (error) {
      failed(error);
    }
    working = false;
  }

  return {
    served,
    submit(request) {
      if (request.type === 'complete' && request.constraint) void submitConstrained(request, request.constraint);
      else enter(request, null);
    },
    cancel(id) {
      if (compiling.has(id)) compiling.set(id, false);
      for (const part of waiting) if (part.request.id === id) part.cancelled = true;
      for (const { prompted } of [...reading, ...running]) if (prompted.request.id === id) prompted.cancelled = true;
    },
  };

  function measure({ config }: LanguageModel, given: number | undefined): ServedModel {
    const bytes = config.numHiddenLayers * config.numKeyValueHeads * config.headDim * 2 * Float32Array.BYTES_PER_ELEMENT;
    const tokens = given ?? Math.min(MOST_ROWS * maxPositionEmbeddings, Math.floor(CACHE_BYTES / bytes));
    return { contextLength: Math.min(maxPositionEmbeddings, tokens), cacheTokens: tokens };
  }
}
