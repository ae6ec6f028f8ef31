/** Calls read out of what a scheduler tells; the scheduler itself is not here. */
import { describe, expect, it } from 'vitest';
import { Sampling } from '../../shared/sampling.ts';
import type { CompleteRequest, ServedEvent } from '../../shared/serving.ts';
import type { Tool } from '../../shared/tools.ts';
import { createTokenizer } from '../tokenizer/tokenizer.ts';
import { trainBpe } from '../tokenizer/train-bpe.ts';
import { createToolCalls } from './tool-calls.ts';

const TOOLS: Tool[] = [{ type: 'function', function: { name: 'add', parameters: { type: 'object' } } }];
const TEMPLATE = `{% for t in tools or [] %}{{ t | tojson }}{% endfor %}{% for m in messages %}{{ '<s>' + m.role + '\n' + m.content }}{% for c in m.tool_calls or [] %}{{ '<call>{"name": "' + c.function.name + '", "arguments": ' + (c.function.arguments | tojson) + '}</call>' }}{% endfor %}{{ '</s>' }}{% endfor %}{% if add_generation_prompt %}{{ '<s>assistant\n' }}{% endif %}`;
const tokenizer = createTokenizer(trainBpe([], { vocabSize: 260, specialTokens: ['<s>', '</s>'] }) as never, { eos_token: '</s>' }, { where: '', eos: [], chatTemplate: TEMPLATE });
const request = (calls: Partial<CompleteRequest['calls'] & object> = {}): CompleteRequest => ({
  type: 'complete', id: 1, prompts: [{ messages: [{ role: 'user', content: 'q' }], tools: TOOLS }], n: 1, sampling: Sampling.parse({}), maxTokens: 16, logprobs: null, constraint: null, echo: false,
  calls: { tools: TOOLS, force: null, parallel: true, ...calls },
});
/** What is told of an answer that comes in two pieces. */
const heard = (calls: Parameters<typeof request>[0], ...texts: string[]): ServedEvent[] => {
  const toolCalls = createToolCalls(tokenizer);
  toolCalls.prepare(request(calls));
  return toolCalls.read([
    ...texts.map((text): ServedEvent => ({ type: 'token', id: 1, choice: 0, text, shown: null })), { type: 'end', id: 1, choice: 0, finishReason: 'eos' }, { type: 'finished', id: 1 },
  ]);
};
const CALL = '<call>{"name": "add", "arguments": {"a": 1}}</call>';
const call = { type: 'call', id: 1, choice: 0, name: 'add', arguments: { a: 1 } };
const told = (events: ServedEvent[]): ServedEvent[] => events.filter((event) => event.type === 'call' || ('text' in event && event.text !== ''));

describe('an answer', () => {
  it('tells its text and then its calls, and only the first where more are not wanted', () => {
    expect(told(heard({}, 'Let me see. <ca', `ll>${CALL.slice(6)}\n${CALL}`))).toMatchObject([{ type: 'token', text: 'Let me see.' }, call, call]);
    expect(told(heard({ parallel: false }, CALL + CALL))).toEqual([call]);
  });

  it('that ends in the middle of a call tells it as text, before its end', () => {
    expect(heard({}, 'x<call>{"na').map((event) => event.type)).toEqual(['token', 'text', 'end', 'finished']);
  });

  it('that must call is begun for the model and held to JSON of the tool asked for', () => {
    const prepared = createToolCalls(tokenizer).prepare(request({ force: { of: TOOLS } })) as CompleteRequest;
    expect(prepared.prompts[0]).toMatchObject({ opening: '<call>' });
    expect(prepared.constraint).toMatchObject({ type: 'jsonSchema', schema: { properties: { name: { const: 'add' } } } });
    expect(told(heard({ force: { of: TOOLS } }, '{"name": "add", ', '"arguments": {"a": 1}}'))).toEqual([call]);
  });

  it('of a request without tools is as it was', () => {
    const event: ServedEvent = { type: 'token', id: 7, choice: 0, text: CALL, shown: null };
    expect(createToolCalls(tokenizer).read([event])).toEqual([event]);
  });
});
