/**
 * The server as its clients meet it: the real openai client and plain HTTP against a real engine with the small fixture model. Where timing
 * would decide, the engine is held still by a signal until what must come first has come.
 */
import { request as httpRequest } from 'node:http';
import { fileURLToPath } from 'node:url';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ModelServer, openModelServer } from './model-server.ts';

const folder = fileURLToPath(new URL('../../../fixtures/models/llama', import.meta.url));
const TOKEN = 'a-token-for-tests';
const MODEL = 'tiny';
let server: ModelServer;
let client: OpenAI;
let changed = (): void => {};

beforeAll(async () => {
  const job = { type: 'serve', device: 'native', threads: 1, model: { folder }, template: 'chat', dtype: 'stored' } as const;
  server = await openModelServer({ job, name: MODEL, host: '127.0.0.1', port: 0, token: TOKEN, onChange: () => changed() });
  client = new OpenAI({ apiKey: TOKEN, baseURL: server.url, maxRetries: 0 });
});
afterAll(() => server.close());

const hold = (): boolean => process.kill(server.backend.pid, 'SIGSTOP');
const release = (): boolean => process.kill(server.backend.pid, 'SIGCONT');

/** Waits until the server's activity is so. */
const until = (holds: () => boolean): Promise<void> =>
  new Promise((resolve) => {
    changed = () => {
      if (!holds()) return;
      changed = () => {};
      resolve();
    };
    changed();
  });

const post = (path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${server.url}${path}`, { method: 'POST', headers: { Authorization: `Bearer ${TOKEN}`, ...headers }, body: typeof body === 'string' ? body : JSON.stringify(body) });

/** Of a request whose headers fetch would not let be set; it sends no body, however long it says that is. */
const status = (headers: Record<string, string>, method = 'GET', path = '/v1/models'): Promise<number> =>
  new Promise((resolve, reject) => {
    const sent = httpRequest({ host: '127.0.0.1', port: new URL(server.url).port, method, path, headers: { Authorization: `Bearer ${TOKEN}`, ...headers } }, (reply) => {
      resolve(reply.statusCode!);
      sent.destroy();
    }).on('error', reject);
    if (method === 'GET') sent.end();
    else sent.flushHeaders();
  });

const chat = (content: string, more: object = {}) => ({ model: MODEL, messages: [{ role: 'user' as const, content }], max_tokens: 12, seed: 3, ...more });

describe('the openai client', () => {
  it('finds the model', async () => {
    expect((await client.models.list()).data.map(({ id }) => id)).toEqual([MODEL]);
    expect((await client.models.retrieve(MODEL)).object).toBe('model');
  });

  it('gets the same answers whole and as a stream, with usage, log-probabilities and several choices', async () => {
    const asked = chat('The dog', { n: 3, logprobs: true, top_logprobs: 2, stop: ['zz'] });
    const whole = await client.chat.completions.create(asked);
    expect(whole.choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    const { choices, usage } = await client.chat.completions.stream({ ...asked, stream_options: { include_usage: true } }).finalChatCompletion();
    expect(choices.map(({ message, finish_reason, logprobs }) => [message.content, finish_reason, logprobs!.content])).toEqual(
      whole.choices.map(({ message, finish_reason, logprobs }) => [message.content, finish_reason, logprobs!.content]),
    );
    expect(usage).toEqual(whole.usage);
    const drawn = whole.choices.flatMap(({ logprobs }) => logprobs!.content!);
    expect(whole.usage!.completion_tokens).toBe(drawn.length);
    for (const { top_logprobs, logprob } of drawn) {
      expect(top_logprobs).toHaveLength(2);
      expect(top_logprobs[0].logprob).toBeGreaterThanOrEqual(logprob);
    }
  });

  it('gets a prompt back with the log-probability of each of its tokens, by text and by ids', async () => {
    const asked = { model: MODEL, max_tokens: 1, temperature: 0, logprobs: 1, echo: true };
    const { choices, usage } = await client.completions.create({ ...asked, prompt: ['The dog runs', 'once'] });
    for (const [i, text] of ['The dog runs', 'once'].entries()) {
      const { tokens, token_logprobs, top_logprobs, text_offset } = choices[i].logprobs!;
      expect(choices[i].text.startsWith(text)).toBe(true);
      expect(tokens!.slice(0, -1).join('')).toBe(text);
      expect(token_logprobs![0]).toBeNull();
      expect(text_offset!.map((offset, j) => choices[i].text.slice(offset, offset + tokens![j].length)).join('')).toBe(choices[i].text);
      for (const [j, logprob] of token_logprobs!.slice(1).entries()) expect(Math.max(...Object.values(top_logprobs![j + 1]))).toBeGreaterThanOrEqual(logprob);
    }
    expect(usage!.prompt_tokens).toBe(choices.reduce((sum, { logprobs }) => sum + logprobs!.tokens!.length - 1, 0));
  });

  it('gets embeddings of length 1, as numbers and in the base64 it asks for by itself', async () => {
    const input = ['The dog', 'A river'];
    const packed = await client.embeddings.create({ model: MODEL, input });
    const plain = await client.embeddings.create({ model: MODEL, input, encoding_format: 'float' });
    expect(packed.data.map(({ embedding }) => [...embedding])).toEqual(plain.data.map(({ embedding }) => embedding));
    expect(Math.hypot(...plain.data[0].embedding)).toBeCloseTo(1, 5);
  });

  it('gets JSON of the schema it asks for, at any temperature, and is told by name what cannot be enforced', async () => {
    const schema = { type: 'object', properties: { name: { type: 'string', maxLength: 5 }, n: { enum: [1, 22, 333] } }, required: ['name', 'n'], additionalProperties: false };
    const asked = (of: object) => chat('The dog', { n: 4, temperature: 1.5, max_tokens: 60, response_format: { type: 'json_schema', json_schema: { name: 'x', schema: of } } });
    const { choices } = await client.chat.completions.create(asked(schema));
    // a stop string ends an answer only where it is whole: those of JSON's own letters end none
    const { choices: stopped } = await client.chat.completions.create({ ...asked(schema), stop: ['"', ',', 'n'] });
    for (const { message, finish_reason } of [...choices, ...stopped]) {
      expect(finish_reason).toBe('stop');
      const { name, n, ...rest } = JSON.parse(message.content!) as { name: string; n: number };
      expect([name.length <= 5, [1, 22, 333].includes(n), rest]).toEqual([true, true, {}]);
    }
    const object = await client.chat.completions.create(chat('The dog', { max_tokens: 40, response_format: { type: 'json_object' } }));
    expect(JSON.parse(object.choices[0].message.content!)).toBeTypeOf('object');
    await expect(client.chat.completions.create(asked({ type: 'nothing of the kind' }))).rejects.toThrow(OpenAI.BadRequestError);
    await expect(client.chat.completions.create({ ...asked(schema), max_tokens: 3 })).rejects.toThrow(/400 what was asked for takes at least \d+ tokens/);
  });

  it('is refused as by OpenAI: wrong key, no such model, a field that is not served, a prompt too long', async () => {
    const wrong = new OpenAI({ apiKey: 'another-token', baseURL: server.url, maxRetries: 0 });
    await expect(wrong.models.list()).rejects.toThrow(OpenAI.AuthenticationError);
    await expect(client.chat.completions.create({ ...chat('a'), model: 'gpt-4o' })).rejects.toThrow(OpenAI.NotFoundError);
    await expect(client.chat.completions.create(chat('a', { functions: [] }))).rejects.toThrow(/400 Unrecognized request argument supplied: functions/);
    await expect(client.chat.completions.create(chat('a', { temperature: 3 }))).rejects.toThrow(/400 Invalid value for 'temperature'/);
    const long = client.chat.completions.create(chat('word '.repeat(2000)));
    await expect(long).rejects.toMatchObject({ status: 400, code: 'context_length_exceeded' });
  });
});

describe('who may ask, and what', () => {
  it('turns away other names, other origins and missing tokens, and allows no page of another site', async () => {
    const { port } = new URL(server.url);
    expect(await status({})).toBe(200);
    expect(await status({ Host: `attacker.example:${port}` })).toBe(403);
    expect(await status({ Origin: 'http://attacker.example' })).toBe(403);
    expect(await status({ Authorization: '' })).toBe(401);
    const preflight = await fetch(`${server.url}/chat/completions`, { method: 'OPTIONS', headers: { Origin: 'http://attacker.example' } });
    expect(preflight.status).toBe(403);
    expect([...preflight.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([]);
  });

  it('refuses bodies that are no JSON, too long, or for no path', async () => {
    expect((await post('/completions', '{')).status).toBe(400);
    expect((await post('/completions', '[1]')).status).toBe(400);
    expect(await status({ 'Content-Length': String(9 * 2 ** 20) }, 'POST', '/v1/completions')).toBe(413);
    const unknown = await post('/images', {});
    expect(unknown.status).toBe(404);
    expect(await unknown.json()).toMatchObject({ error: { type: 'invalid_request_error', code: 'unknown_url', param: null } });
  });

  it('says 429 when the queue is full, and answers all that were in it', async () => {
    hold();
    const big = () => post('/completions', { model: MODEL, prompt: Array.from({ length: 16 }, (_, i) => `prompt ${i}`), n: 16, max_tokens: 2, seed: 1 });
    const inside = [big(), big()];
    await until(() => server.activity.list().filter(({ state }) => state === 'waiting').length === 2);
    const turnedAway = await post('/completions', { model: MODEL, prompt: 'x' });
    expect([turnedAway.status, turnedAway.headers.get('retry-after')]).toEqual([429, '1']);
    expect(await turnedAway.json()).toMatchObject({ error: { code: 'rate_limit_exceeded' } });
    release();
    for (const answer of await Promise.all(inside)) expect(((await answer.json()) as { choices: unknown[] }).choices).toHaveLength(256);
  });

  it('stops computing for a client that goes away', async () => {
    hold();
    const controller = new AbortController();
    const gone = client.chat.completions.create(chat('The dog', { n: 8, max_tokens: 100 }), { signal: controller.signal }).catch(() => 'gone');
    await until(() => server.activity.list()[0].state === 'waiting');
    controller.abort();
    await until(() => server.activity.list()[0].state === 'cancelled');
    expect(await gone).toBe('gone');
    release();
    await client.chat.completions.create(chat('A river'));
    expect(server.activity.list()[1].completionTokens).toBeLessThanOrEqual(16); // a step or two, not a hundred
  });
});

describe('many at once', () => {
  it('answers 200 concurrent streams, none lost or mixed up, each as it is alone', async () => {
    const asked = (i: number) => chat(`Say ${i} ${'again '.repeat(i % 7)}`, { seed: i, max_tokens: 4 + (i % 13) });
    const stream = async (i: number): Promise<string> => {
      let text = '';
      for await (const { choices } of await client.chat.completions.create({ ...asked(i), stream: true })) text += choices[0].delta.content ?? '';
      return text;
    };
    const texts = await Promise.all(Array.from({ length: 200 }, (_, i) => stream(i)));
    expect(new Set(texts).size).toBeGreaterThan(150);
    for (let i = 0; i < 200; i += 9) expect((await client.chat.completions.create(asked(i))).choices[0].message.content).toBe(texts[i]);
  });
});
