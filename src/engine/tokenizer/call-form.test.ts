import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Tool } from '../../shared/tools.ts';
import { compileConstraint } from '../sampling/constraint/compile.ts';
import { callConstraint, type CallForm, callFormOf, createCallReader, type ReadCall } from './call-form.ts';
import { createTokenizer, loadTokenizer, type Tokenizer } from './tokenizer.ts';
import { trainBpe } from './train-bpe.ts';

const TOOLS: Tool[] = [
  { type: 'function', function: { name: 'add', parameters: { type: 'object', properties: { a: { $ref: '#/$defs/n' } }, required: ['a'], additionalProperties: false, $defs: { n: { type: 'integer', minimum: 0, maximum: 9 } } } } },
  { type: 'function', function: { name: 'now' } },
];
const HERMES: CallForm = { open: '<tool_call>', close: '</tool_call>', list: false, argumentsKey: 'arguments', opening: '<tool_call>\n' };
const LLAMA: CallForm = { open: '', close: '', list: false, argumentsKey: 'parameters', opening: '' };
const MISTRAL: CallForm = { open: '[TOOL_CALLS]', close: '', list: true, argumentsKey: 'arguments', opening: ' [TOOL_CALLS] [' };

/** An answer that comes in pieces of `size` characters: its text and its calls. */
function read(form: CallForm, answer: string, size: number): { text: string; calls: ReadCall[] } {
  const reader = createCallReader(form, TOOLS);
  const pieces = answer.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? [];
  const parts = [...pieces.map((piece) => reader.push(piece)), reader.end()];
  return { text: parts.map(({ text }) => text).join(''), calls: parts.flatMap(({ calls }) => calls) };
}

describe('an answer', () => {
  const add = { name: 'add', arguments: { a: 1 } };
  it.each([
    ['between marks', HERMES, '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>', '', [add]],
    ['after a text', HERMES, 'I look.\n<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>\n', 'I look.', [add]],
    ['twice', HERMES, '<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>\n<tool_call>{"name": "now", "arguments": {}}</tool_call>', '', [add, { name: 'now', arguments: {} }]],
    ['as a text that only looks like one', HERMES, 'a < b <tool_', 'a < b <tool_', []],
    ['of a tool nobody has', HERMES, '<tool_call>{"name": "rm", "arguments": {}}</tool_call>', '<tool_call>{"name": "rm", "arguments": {}}</tool_call>', []],
    ['that is cut off', HERMES, 'So: <tool_call>\n{"name": "add", "argu', 'So: <tool_call>\n{"name": "add", "argu', []],
    ['by itself', LLAMA, '{"name": "add", "parameters": {"a": 1}}', '', [add]],
    ['not, but JSON all the same', LLAMA, '{"a": 1}', '{"a": 1}', []],
    ['not, but text', LLAMA, '  Hello {"name"}', '  Hello {"name"}', []],
    ['in a list', MISTRAL, ' [TOOL_CALLS] [{"name": "add", "arguments": {"a": 1}, "id": "abcdefghi"}]', '', [add]],
    ['in a list whose mark is a special token', { ...MISTRAL, open: '' }, '[{"name": "add", "arguments": {"a": 1}}]', '', [add]],
  ] as const)('calls %s, in pieces of any size', (_, form, answer, text, calls) => {
    for (const size of [1, 2, 3, 7, 1000]) expect(read(form, answer, size), `${size}`).toEqual({ text, calls });
  });
});

describe('a forced call', () => {
  const tokenizer = createTokenizer(trainBpe(['{"name": "add", "arguments": {"a": 1}}'], { vocabSize: 300, specialTokens: ['</s>'] }) as never, { eos_token: '</s>' }, { where: '', eos: [], chatTemplate: null });
  it('is JSON of one of the tools with its own parameters, references in them and all', () => {
    const { validate, fewestTokens } = compileConstraint(callConstraint(HERMES, TOOLS), tokenizer);
    expect(fewestTokens).toBeGreaterThan(0);
    for (const [text, valid] of [['{"name": "add", "arguments": {"a": 1}}', true], ['{"name": "add", "arguments": {"a": 12}}', false], ['{"name": "now", "arguments": {}}', true], ['{"name": "rm", "arguments": {}}', false], ['{"name": "add"}', false]] as const) {
      expect(validate(text).valid, text).toBe(valid);
    }
    expect(compileConstraint(callConstraint(LLAMA, [TOOLS[0]]), tokenizer).validate('{"name": "add", "parameters": {"a": 7}}').valid).toBe(true);
  });
});

const assets = join(import.meta.dirname, '../../../../shared/assets');
describe.skipIf(!existsSync(assets))('the form of real templates (skipped where ../shared/assets is absent)', () => {
  const using = (qwen3: Tokenizer, chatTemplate: string): Tokenizer => ({ ...qwen3, chatTemplate });
  it('is found in what they write, or named as not known', async () => {
    const qwen3 = await loadTokenizer(join(assets, 'tokenizers/qwen3'));
    const trl = (name: string): Tokenizer => using(qwen3, readFileSync(join(assets, `chat-templates/trl/${name}.jinja`), 'utf8'));
    const hermes = { open: '<tool_call>', close: '</tool_call>', list: false, argumentsKey: 'arguments' };
    for (const name of ['qwen2_5', 'qwen3_instruct_2507', 'qwen3']) expect(callFormOf(trl(name)), name).toMatchObject(hermes);
    // Llama's end of a turn is no special token of Qwen's vocabulary
    const llama = using(qwen3, readFileSync(join(assets, 'chat-templates/trl/llama3_1.jinja'), 'utf8').replaceAll('<|eot_id|>', '<|im_end|>'));
    expect(callFormOf(llama)).toMatchObject({ open: '', close: '', list: false, argumentsKey: 'parameters' });
    expect(() => callFormOf(trl('qwen3_5_nothink'))).toThrow(/in a form that is not known here/);
    expect(() => callFormOf(trl('gemma'))).toThrow(/lists no tools/);
    const cases = JSON.parse(readFileSync(join(assets, 'chat-templates/hf-jinja-e2e.json'), 'utf8')) as { name: string; chat_template: string; data: Record<string, string> }[];
    const mistral = cases.find(({ name }) => name.startsWith('mistralai/Mistral-7B-Instruct-v0.3'))!;
    const named = { ...using(qwen3, mistral.chat_template), namedTokens: { bos_token: '', eos_token: '<|im_end|>' } };
    expect(callFormOf(named)).toMatchObject({ open: '[TOOL_CALLS]', close: '', list: true, argumentsKey: 'arguments', opening: ' [TOOL_CALLS] [' });
  });
});
