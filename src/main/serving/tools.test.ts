/** Tools as a client meets them: the real openai client against a real engine, with a small model whose template writes calls as Hermes does. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ModelServer, openModelServer } from './model-server.ts';

const plain = fileURLToPath(new URL('../../../fixtures/models/llama', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'attune-tools-'));
const TEMPLATE = `{% if tools %}{{ '<|im_start|>system\\n' }}{% for t in tools %}{{ t | tojson }}{% endfor %}{{ '<|im_end|>' }}{% endif %}{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content }}{% for c in m.tool_calls or [] %}{{ '<tool_call>\\n{"name": "' + c.function.name + '", "arguments": ' + (c.function.arguments | tojson) + '}\\n</tool_call>' }}{% endfor %}{{ '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}`;
const open = (model: string): Promise<ModelServer> =>
  openModelServer({ job: { type: 'serve', device: 'native', threads: 1, model: { folder: model }, template: 'chat', dtype: 'stored' }, name: 'tiny', host: '127.0.0.1', port: 0, token: 'a-token-for-tests', onChange: () => {} });
const clientOf = ({ url }: ModelServer): OpenAI => new OpenAI({ apiKey: 'a-token-for-tests', baseURL: url, maxRetries: 0 });
let servers: ModelServer[];
let client: OpenAI;
beforeAll(async () => {
  cpSync(plain, folder, { recursive: true });
  writeFileSync(join(folder, 'chat_template.jinja'), TEMPLATE);
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as object;
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...config, max_position_embeddings: 2048 })); // room for tools in an alphabet of single letters
  servers = [await open(folder), await open(plain)];
  client = clientOf(servers[0]);
});
afterAll(async () => {
  for (const server of servers) await server.close();
  rmSync(folder, { recursive: true });
});

const tool = (name: string, properties: object) => ({ type: 'function' as const, function: { name, description: 'x', parameters: { type: 'object', properties, required: Object.keys(properties), additionalProperties: false } } });
const TOOLS = [tool('get_weather', { city: { enum: ['Seoul', 'Busan'] }, days: { type: 'integer', minimum: 1, maximum: 9 } }), tool('roll', { sides: { enum: [6, 20] } })];
const asked = (more: object = {}) => ({ model: 'tiny', messages: [{ role: 'user' as const, content: 'hi' }], tools: TOOLS, max_tokens: 120, seed: 3, ...more });
const required = { tool_choice: 'required' as const };

describe('a model that must call', () => {
  it('calls one of the tools with arguments of its schema, whole and as a stream, and says why it ended', async () => {
    for (const seed of [1, 2, 3]) {
      const { choices } = await client.chat.completions.create(asked({ ...required, seed, n: 2 }));
      for (const { finish_reason, message } of choices) {
        expect(finish_reason).toBe('tool_calls');
        expect(message.content).toBeNull();
        expect(message.tool_calls).toHaveLength(1);
        const [call] = message.tool_calls!;
        if (call.type !== 'function') throw new Error(call.type);
        expect(call.id).toMatch(/^[a-z0-9]{9}$/);
        const args = JSON.parse(call.function.arguments) as Record<string, unknown>;
        if (call.function.name === 'roll') expect([6, 20]).toContain(args.sides);
        else expect([['Seoul', 'Busan'].includes(args.city as string), Number.isInteger(args.days)]).toEqual([true, true]);
      }
      const streamed = await client.chat.completions.stream(asked({ ...required, seed, n: 2 })).finalChatCompletion();
      const functions = (of: typeof choices) => of.map(({ message, finish_reason }) => [finish_reason, message.tool_calls!.map((call) => call.type === 'function' && call.function).map((f) => f && [f.name, f.arguments])]);
      expect(functions(streamed.choices as typeof choices)).toEqual(functions(choices));
    }
  });

  it('calls the one that is named', async () => {
    for (const name of ['roll', 'get_weather']) {
      const { choices } = await client.chat.completions.create(asked({ tool_choice: { type: 'function', function: { name } } }));
      expect(choices[0].message.tool_calls).toMatchObject([{ type: 'function', function: { name } }]);
    }
  });
});

it('a call that is sent back with its result is part of the prompt', async () => {
  const { choices } = await client.chat.completions.create(asked(required));
  const [call] = choices[0].message.tool_calls!;
  const messages = [...asked().messages, choices[0].message, { role: 'tool' as const, tool_call_id: call.id, content: '3' }];
  const after = await client.chat.completions.create({ ...asked({ max_tokens: 8 }), messages });
  const before = await client.chat.completions.create(asked({ max_tokens: 8 }));
  expect(after.usage!.prompt_tokens).toBeGreaterThan(before.usage!.prompt_tokens);
  expect(after.choices[0].finish_reason).toMatch(/stop|length/);
});

it('tools are not in the prompt where none may be called; free answers are texts', async () => {
  const none = await client.chat.completions.create(asked({ tool_choice: 'none', max_tokens: 8 }));
  const without = await client.chat.completions.create(asked({ tools: undefined, max_tokens: 8 }));
  expect([none.choices[0].message, none.usage]).toEqual([without.choices[0].message, without.usage]);
  const free = await client.chat.completions.create(asked({ max_tokens: 8 }));
  const streamed = await client.chat.completions.stream(asked({ max_tokens: 8 })).finalChatCompletion();
  expect(free.choices[0].message.content).toBe(streamed.choices[0].message.content);
  expect(free.choices[0].message.tool_calls).toBeUndefined();
});

it('what cannot be served is refused by name', async () => {
  const refused = (more: object, by = client): Promise<string> => by.chat.completions.create(asked(more) as OpenAI.ChatCompletionCreateParamsNonStreaming).then(() => 'answered', (error: Error) => error.message);
  expect(await refused({}, clientOf(servers[1]))).toMatch(/chat template lists no tools/);
  expect(await refused({ tool_choice: { type: 'function', function: { name: 'rm' } } })).toMatch(/tool_choice names rm, which is none of the tools/);
  expect(await refused({ tools: undefined, ...required })).toMatch(/tool_choice wants tools/);
  expect(await refused({ tools: [TOOLS[0], TOOLS[0]] })).toMatch(/two tools are named get_weather/);
  expect(await refused({ ...required, response_format: { type: 'json_object' } })).toMatch(/response_format and tools/);
  expect(await refused({ ...required, tools: [tool('f', { a: { unevaluatedProperties: false } })] })).toMatch(/unevaluatedProperties/);
  expect(await refused({ messages: [{ role: 'assistant', tool_calls: [{ id: 'a', type: 'function', function: { name: 'roll', arguments: '{' } }] }] })).toMatch(/messages\[0\]\.tool_calls\[0\]\.function\.arguments is not JSON/);
  expect(await refused({ functions: [] })).toMatch(/Unrecognized request argument supplied: functions/);
});
