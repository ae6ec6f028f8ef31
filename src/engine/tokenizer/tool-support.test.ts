import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Message } from '../../shared/dataset.ts';
import type { Tool } from '../../shared/tools.ts';
import { ownTemplate, dropsTools, renderConversation, renderPrompt } from './template.ts';
import { createTokenizer, loadTokenizer, type Piece, type Tokenizer } from './tokenizer.ts';
import { trainBpe } from './train-bpe.ts';

const folder = mkdtempSync(join(tmpdir(), 'attune-templates-'));
afterAll(() => rmSync(folder, { recursive: true }));

const json = trainBpe(['user assistant system'], { vocabSize: 280, specialTokens: ['<|endoftext|>', '<|im_start|>', '<|im_end|>', '<s>'] });
const make = (chatTemplate: string): Tokenizer => createTokenizer(json as never, { eos_token: '<|im_end|>', bos_token: '<s>' }, { where: 'tokenizer.json', eos: [], chatTemplate });
const text = (pieces: Piece[]): string => pieces.map((piece) => piece.text).join('');
const trained = (pieces: Piece[]): string[] => pieces.map((piece) => (piece.loss ? piece.text : '\0')).join('').split('\0').filter((part) => part !== '');

const CALL: Message = { role: 'assistant', content: '', tool_calls: [{ type: 'function', function: { name: 'add', arguments: { a: 1 } } }] };
const ASKED: Message[] = [{ role: 'user', content: 'q' }, CALL, { role: 'tool', content: '2' }, { role: 'assistant', content: 'two' }];
const TOOLS: Tool[] = [{ type: 'function', function: { name: 'add', parameters: { type: 'object' } } }];
const START = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}";
const END = "{{ '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
const calls = (inner: string): string => `{% if tools %}{{ tools | tojson }}{% endif %}${START}{% if m.tool_calls %}{% for c in m.tool_calls %}${inner}{% endfor %}{% else %}{{ m.content }}{% endif %}${END}`;

describe('a template', () => {
  it('that writes neither tools nor calls is known to: a call in a row is refused, not left out', () => {
    const plain = make(`${START}{{ m.content }}${END}`);
    expect(ownTemplate(plain).tools).toMatchObject({ lists: false, calls: null });
    expect(dropsTools('chat', plain)).toBe(true);
    expect(() => renderConversation(ASKED, 'chat', plain, TOOLS)).toThrow('the chat template leaves the tool calls of message 2 out');
    expect(() => renderPrompt(ASKED.slice(0, 3), 'chat', plain, TOOLS)).toThrow(/leaves the tool calls of message 2 out/);
    expect(() => renderConversation(ASKED, 'chatml', plain, TOOLS)).toThrow('message 2 calls tools, for which the chatml template has no form');
    expect(dropsTools('alpaca', plain)).toBe(true);
  });

  it('of a purpose of its own stands in where tools are given, from a list or from files', async () => {
    const plain = `${START}{{ m.content }}${END}`;
    const [listed, filed] = ['listed', 'filed'].map((name) => join(folder, name));
    for (const place of [listed, join(filed, 'additional_chat_templates')]) mkdirSync(place, { recursive: true });
    for (const place of [listed, filed]) writeFileSync(join(place, 'tokenizer.json'), JSON.stringify(json));
    const config = { eos_token: '<|im_end|>' };
    const named = [{ name: 'rag', template: 'r' }, { name: 'tool_use', template: `T${calls('{{ c.function.name + (c.function.arguments | tojson) }}')}` }, { name: 'default', template: plain }];
    writeFileSync(join(listed, 'tokenizer_config.json'), JSON.stringify({ ...config, chat_template: named }));
    writeFileSync(join(filed, 'tokenizer_config.json'), JSON.stringify(config));
    writeFileSync(join(filed, 'chat_template.jinja'), plain);
    writeFileSync(join(filed, 'additional_chat_templates', 'tool_use.jinja'), named[1].template);
    for (const place of [listed, filed]) {
      const tokenizer = await loadTokenizer(place);
      expect(text(renderPrompt(ASKED.slice(0, 1), 'chat', tokenizer))).toBe('<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n');
      expect(text(renderPrompt(ASKED.slice(0, 1), 'chat', tokenizer, TOOLS))).toMatch(/^T\[/);
      expect(trained(renderConversation(ASKED, 'chat', tokenizer, TOOLS))).toEqual(['add{"a": 1}<|im_end|>', 'two<|im_end|>']);
      expect(dropsTools('chat', tokenizer)).toBe(false);
    }
  });

  it('that puts arguments into a text gets them as JSON text, one that takes a mapping gets a mapping', () => {
    const takesText = make(calls("{{ '[' + c.function.name + ' ' + c.function.arguments + ']' }}"));
    expect(ownTemplate(takesText).tools.calls).toEqual({ content: '', arguments: 'text' });
    expect(trained(renderConversation(ASKED, 'chat', takesText, TOOLS))).toEqual(['[add {"a": 1}]<|im_end|>', 'two<|im_end|>']);
    const takesMapping = make(calls("{{ '[' + c.function.name + ' ' + (c.function.arguments | tojson) + ']' }}"));
    expect(ownTemplate(takesMapping).tools.calls).toEqual({ content: '', arguments: 'mapping' });
    expect(text(renderConversation(ASKED, 'chat', takesMapping, TOOLS))).toBe(text(renderConversation(ASKED, 'chat', takesText, TOOLS)));
  });

  it('that writes calls only where the content is null gets null', () => {
    const wantsNull = make(calls("{{ c.function.name + ' ' + (c.function.arguments | tojson) }}").replace('{% if m.tool_calls %}', '{% if m.tool_calls and m.content is none %}'));
    expect(ownTemplate(wantsNull).tools.calls).toEqual({ content: null, arguments: 'mapping' });
    expect(trained(renderConversation(ASKED, 'chat', wantsNull, TOOLS))[0]).toBe('add {"a": 1}<|im_end|>');
  });

  it('trains calls with the token that ends the turn, never a result or a list of tools; control tokens in them stay text', () => {
    const template = make(calls("{{ c.function.name + ' ' + (c.function.arguments | tojson) }}"));
    const attack: Message = { role: 'assistant', content: '', tool_calls: [{ type: 'function', function: { name: 'add', arguments: { '<|im_end|>': '<|im_end|>' } } }] };
    const pieces = renderConversation([ASKED[0], attack, ...ASKED.slice(2)], 'chat', template, TOOLS);
    expect(trained(pieces)).toEqual(['add {"<|im_end|>": "<|im_end|>"}<|im_end|>', 'two<|im_end|>']);
    const ends = template.encodePieces(pieces).ids.filter((id) => template.token(id) === '<|im_end|>');
    expect(ends).toHaveLength(4); // a turn each, none of the arguments
  });
});

const assets = join(import.meta.dirname, '../../../../shared/assets');
const expected = JSON.parse(readFileSync(join(import.meta.dirname, '../../../fixtures/text/tools.json'), 'utf8'));
type Case = { template: string; conversation: number; text: string; prompt: [number, string]; refused?: string; marked?: string[] };

describe.skipIf(!existsSync(assets))('real templates with tools (skipped where ../shared/assets is absent)', () => {
  let qwen3: Tokenizer;
  beforeAll(async () => {
    qwen3 = await loadTokenizer(join(assets, 'tokenizers/qwen3'));
  });
  beforeEach(() => {
    vi.useFakeTimers({ now: new Date(2024, 6, 26) });
  });
  afterEach(() => {
    vi.useRealTimers();
  });
  const using = (name: string): Tokenizer => ({
    ...qwen3, specialTokens: [...qwen3.specialTokens, '<|eot_id|>'], chatTemplate: readFileSync(join(assets, `chat-templates/trl/${name}.jinja`), 'utf8'),
  });

  it('are rendered as transformers renders them, conversations and prompts', () => {
    expect(expected.cases).toHaveLength(20);
    for (const { template, conversation, text: whole, prompt, refused } of expected.cases as Case[]) {
      const tokenizer = using(template);
      const messages: Message[] = expected.conversations[conversation];
      if (refused !== undefined) {
        expect(() => renderConversation(messages, 'chat', tokenizer, expected.tools), template).toThrow(refused);
        continue;
      }
      expect(text(renderPrompt(messages.slice(0, -1), 'chat', tokenizer, expected.tools)), template).toBe(whole.slice(0, prompt[0]) + prompt[1]);
      // Qwen3's own thinks in its last answer alone: a conversation of it has no sure mask
      if (template !== 'qwen3') expect(text(renderConversation(messages, 'chat', tokenizer, expected.tools)), template).toBe(whole);
    }
  });

  it('with {% generation %} carry loss where transformers’ assistant mask says, and through the end of each turn', () => {
    for (const { template, conversation, marked } of expected.cases as Case[]) {
      if (!marked) continue;
      const tokenizer = using(template);
      const { ids, loss } = tokenizer.encodePieces(renderConversation(expected.conversations[conversation], 'chat', tokenizer, expected.tools));
      const runs: number[][] = [];
      ids.forEach((id, i) => {
        if (loss[i] && !loss[i - 1]) runs.push([]);
        if (loss[i]) runs.at(-1)!.push(id);
      });
      expect(runs.map((run) => qwen3.decode(run, { skipSpecialTokens: false })), template).toEqual(marked);
    }
  });

  it('without, carry loss on calls and answers alone', () => {
    const seen = new Set<string>();
    for (const { template, conversation, refused, marked } of expected.cases as Case[]) {
      if (refused !== undefined || marked || template === 'qwen3') continue;
      const parts = trained(renderConversation(expected.conversations[conversation], 'chat', using(template), expected.tools));
      const answers = (expected.conversations[conversation] as Message[]).filter(({ role }) => role === 'assistant');
      expect(parts, template).toHaveLength(answers.length);
      parts.forEach((part, i) => {
        expect(part, template).toMatch(/<\|(im_end|eot_id)\|>$/);
        expect(part, template).toContain(answers[i].tool_calls?.at(-1)!.function.name ?? answers[i].content);
        expect(part, template).not.toMatch(/tool_response|celsius.: 3|"type": "function"/);
      });
      seen.add(template);
    }
    expect([...seen]).toEqual(['qwen2_5', 'qwen3_instruct_2507', 'llama3_1', 'llama3_2']);
  });
});
