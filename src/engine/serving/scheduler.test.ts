/** Continuous batching on the small fixture model: what a request gets does not depend on its company, and nothing stays behind. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { Constraint } from '../../shared/constraint.ts';
import { Sampling } from '../../shared/sampling.ts';
import type { CompleteRequest, ServedEvent, ServeRequest, ShownToken } from '../../shared/serving.ts';
import type { Device } from '../device/device.ts';
import { createNativeDevice } from '../device/native.ts';
import type { LanguageModel } from '../model/language-model.ts';
import { openModel } from '../open-model.ts';
import { packed, relativeError } from '../model/testing.ts';
import { compileConstraint } from '../sampling/constraint/compile.ts';
import type { CompiledConstraint } from '../sampling/constraint/constraint.ts';
import { generate } from '../sampling/generate.ts';
import { loadTokenizer, type Tokenizer } from '../tokenizer/tokenizer.ts';
import { createScheduler, MOST_ROWS } from './scheduler.ts';

const folder = fileURLToPath(new URL('../../../fixtures/models/llama', import.meta.url));
const readFixture = (path: string): unknown => JSON.parse(readFileSync(new URL(`../../../fixtures/${path}`, import.meta.url), 'utf8'));
const device: Device = createNativeDevice(2);
let model: LanguageModel;
let tokenizer: Tokenizer;

beforeAll(async () => {
  tokenizer = await loadTokenizer(folder);
  ({ model } = await openModel(device, { folder }, tokenizer, { storage: 'f32', trainable: 'none' }));
});

type Heard = { choices: { text: string; shown: (ShownToken | null)[]; finishReason: string | null }[]; events: ServedEvent[]; refused: string | null };

/** A server whose requests can be awaited. `onStep` hears how many rows each decoding step has. */
function serve(of: LanguageModel = model, cacheTokens?: number, compile = async (constraint: Constraint): Promise<CompiledConstraint> => compileConstraint(constraint, tokenizer)) {
  const heard = new Map<number, Heard & { done: (heard: Heard) => void }>();
  const steps: number[] = [];
  const { decode } = of;
  const watched: LanguageModel = {
    ...of,
    decode(cache, inputs, options) {
      steps.push(inputs.length);
      return decode(cache, inputs, options);
    },
  };
  let onEvents = (_: ServedEvent[]): void => {};
  const scheduler = createScheduler(watched, tokenizer, {
    compile,
    promptTokens: (prompt) => ('tokens' in prompt ? prompt.tokens : tokenizer.encode('raw' in prompt ? prompt.raw : prompt.messages[0].content)),
    failed: (error) => {
      throw error;
    },
    cacheTokens,
    emit(events) {
      for (const event of events) {
        const one = heard.get(event.id)!;
        one.events.push(event);
        if ('choice' in event) one.choices[event.choice] ??= { text: '', shown: [], finishReason: null };
        if (event.type === 'token') {
          one.choices[event.choice].text += event.text;
          one.choices[event.choice].shown.push(event.shown);
        }
        if (event.type === 'end') one.choices[event.choice].finishReason = event.finishReason;
        if (event.type === 'refused') one.refused = event.message;
        if (event.type === 'finished' || event.type === 'refused') one.done(one);
      }
      onEvents(events);
    },
  });
  const submit = (request: ServeRequest): Promise<Heard> =>
    new Promise((done) => {
      heard.set(request.id, { choices: [], events: [], refused: null, done });
      scheduler.submit(request);
    });
  return { scheduler, steps, submit, onEvents: (listener: (events: ServedEvent[]) => void) => (onEvents = listener) };
}

function request(id: number, text: string, settings: Partial<CompleteRequest> & { seed?: number; temperature?: number; stop?: string[] } = {}): CompleteRequest {
  const { seed = 5, temperature = 1, stop = [], ...rest } = settings;
  return { type: 'complete', id, prompts: [{ raw: text }], n: 1, sampling: Sampling.parse({ seed, temperature, stop }), maxTokens: 16, logprobs: 3, constraint: null, calls: null, echo: false, ...rest };
}

const WORDS = ['The dog', 'A small river runs', 'x', 'once', 'In the morning there was', 'why'];

describe('a served request', () => {
  it('gets the same tokens and log-probabilities, bit for bit, alone and among more than fit a step', async () => {
    const asked = (id: number) => request(id, `${WORDS[id % WORDS.length]} ${id}`, { seed: id, n: 1 + (id % 3), maxTokens: 8 + (id % 11), echo: id % 4 === 0 });
    const crowd = serve();
    const together = await Promise.all(Array.from({ length: 40 }, (_, i) => crowd.submit(asked(i))));
    expect(Math.max(...crowd.steps)).toBe(MOST_ROWS);
    expect(Math.min(...crowd.steps)).toBeGreaterThan(0);
    const single = serve();
    for (const [i, heard] of together.entries()) expect((await single.submit(asked(i))).events).toEqual(heard.events);
  });

  it('answers as generate does with the same seed', async () => {
    const sampling = Sampling.parse({ maxTokens: 20, seed: 9, stop: ['e'] });
    const prompts = [WORDS[0], WORDS[0], WORDS[0]].map((text) => tokenizer.encode(text));
    const want: string[] = [];
    for await (const event of generate(model, tokenizer, prompts, sampling, { batchSize: 3, cancelled: () => false })) {
      if (event.type === 'completion') want[event.index] = event.text;
    }
    const { choices } = await serve().submit(request(1, WORDS[0], { seed: 9, n: 3, maxTokens: 20, stop: ['e'] }));
    expect(choices.map(({ text }) => text)).toEqual(want);
  });

  it('reads its prompt once for all its completions', async () => {
    const server = serve();
    await server.submit(request(1, WORDS[1], { n: 5, maxTokens: 2 }));
    expect(server.steps).toEqual([1, 5]); // the prompt with the first token of all, then one step for the second
  });

  it('tells the log-probability of every token of its prompt as forward does, however long the prompt', async () => {
    const ids = tokenizer.encode(Array.from({ length: 60 }, (_, i) => WORDS[i % WORDS.length]).join(' ')).slice(0, 100);
    const heard = await serve().submit(request(1, '', { prompts: [{ tokens: ids }], echo: true, maxTokens: 0, logprobs: 2 }));
    const event = heard.events[0];
    if (event.type !== 'prompt') throw new Error('the prompt is told first');
    expect(event.tokens).toBe(ids.length);
    expect(event.shown[0].logprob).toBeNull();
    const { logprobs } = await model.forward(packed([ids]));
    expect(relativeError(event.shown.slice(1).map(({ logprob }) => logprob!), logprobs)).toBeLessThan(1e-5);
    for (const { logprob, alternatives } of event.shown.slice(1)) expect(alternatives[0].logprob).toBeGreaterThanOrEqual(logprob!);
    expect(heard.choices[0].finishReason).toBe('length');
  });

  it('waits its turn when keys and values have no room, and gets its answer all the same', async () => {
    const small = serve(model, 60);
    const asked = (id: number) => request(id, WORDS[0], { seed: id, maxTokens: 20 });
    const all = await Promise.all([1, 2, 3, 4, 5].map((id) => small.submit(asked(id))));
    expect(Math.max(...small.steps)).toBeLessThan(5);
    const free = serve();
    for (const [i, heard] of all.entries()) expect(heard.choices).toEqual((await free.submit(asked(i + 1))).choices);
  });

  it('is refused in one sentence when it can never fit', async () => {
    const server = serve(model, 60);
    expect((await server.submit(request(1, WORDS[0], { maxTokens: 59 }))).refused).toMatch(/the context has 60 in all: shorten the prompt or ask for fewer/);
    expect((await server.submit(request(2, WORDS[0], { n: 4, maxTokens: 20 }))).refused).toMatch(/^4 completions may come to \d+ tokens, and there is room for 60/);
    expect((await server.submit(request(3, '', { prompts: [{ tokens: [1e9] }] }))).refused).toMatch(/token 1000000000 is not one of the model's/);
    expect((await server.submit(request(4, ''))).refused).toMatch(/no tokens/);
  });

  it('stops computing when it is cancelled, wherever it is, and others go on', async () => {
    const server = serve(model, 120);
    // fills the cache; its company waits, is cancelled there, or comes after
    const long = server.submit(request(1, WORDS[0], { maxTokens: 100, temperature: 0 }));
    const never = server.submit(request(2, WORDS[1], { maxTokens: 100 }));
    const after = server.submit(request(3, WORDS[1], { maxTokens: 3 }));
    let tokens = 0;
    server.onEvents((events) => {
      tokens += events.filter((event) => event.type === 'token' && event.id === 1).length;
      if (tokens === 4) for (const id of [1, 2]) server.scheduler.cancel(id);
    });
    expect((await long).choices[0].finishReason).toBe('cancelled');
    expect((await never).choices).toEqual([]);
    expect((await after).choices[0].shown).toHaveLength(3);
    expect(tokens).toBeLessThanOrEqual(5);
    const whole = await server.submit(request(4, WORDS[0], { maxTokens: 110 })); // all the room is there again
    expect(whole.refused).toBeNull();
  });

  it('does not hold up others while what it asks for is worked out, and can be cancelled there', async () => {
    const constraint = Constraint.parse({ type: 'choices', choices: ['yes', 'no'] });
    let ready = (): void => {};
    const server = serve(model, undefined, (asked) => new Promise((resolve) => (ready = () => resolve(compileConstraint(asked, tokenizer)))));
    const slow = server.submit(request(1, WORDS[0], { constraint }));
    const cancelled = server.submit(request(2, WORDS[0], { constraint })); // the same, so it waits for the same
    expect((await server.submit(request(3, WORDS[1]))).choices[0].shown.length).toBeGreaterThan(0);
    server.scheduler.cancel(2);
    ready();
    expect(['yes', 'no']).toContain((await slow).choices[0].text);
    expect(await cancelled).toMatchObject({ choices: [], refused: null });
  });
});

describe('an embedding', () => {
  it('is the mean of the last hidden states as transformers has them, made to length 1, alone and in company', async () => {
    const { inputIds } = readFixture('models/llama/expected.json') as { inputIds: number[][] };
    const { embeddings } = readFixture('embedding/llama.json') as { embeddings: number[][] };
    const server = serve();
    const embed = async (id: number) => {
      const { events } = await server.submit({ type: 'embed', id, inputs: inputIds.map((tokens) => ({ tokens })) });
      return events.flatMap((event) => (event.type === 'embedding' ? [event.vector] : []));
    };
    const company = server.submit(request(9, WORDS[1], { n: 4, maxTokens: 30 }));
    const vectors = await embed(1);
    await company;
    for (const [i, vector] of vectors.entries()) expect(relativeError(vector, embeddings[i])).toBeLessThan(1e-5);
    expect(await embed(2)).toEqual(vectors);
  });
});
