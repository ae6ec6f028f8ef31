/**
 * Examples → pieces of text with loss flags, through Alpaca's template, ChatML, or the model's own (chat-template.ts).
 * Answers carry loss, and so does the end-of-turn token after each: a model that never sees it trained never stops. Not here: ids (tokenizer.ts).
 * Alpaca's wording is Stanford's (train.py, PROMPT_DICT), without a newline after "### Response:".
 */
import type { Example, InstructionExample, Message, Template } from '../../shared/dataset.ts';
import type { Tool } from '../../shared/tools.ts';
import { type ChatTemplate, compileChatTemplate } from './chat-template.ts';
import type { Piece, Tokenizer } from './tokenizer.ts';

export type { Piece } from './tokenizer.ts';

/** Everything up to where the model answers; no piece carries loss. */
export function renderPrompt(messages: Message[], template: Template, tokenizer: Tokenizer, tools?: Tool[]): Piece[] {
  if (template === 'chat') return chatTemplate(tokenizer).prompt(messages, tools);
  refuseCalls(messages, template);
  if (template === 'chatml') return [...prefix(tokenizer), ...chatml(messages, tokenizer), fixed('<|im_start|>assistant\n')];
  return [...prefix(tokenizer), ...alpaca(messages, tokenizer), fixed('### Response:')];
}

/** A whole example with its answers. Answers that are judged, in pairs or not, are rendered one by one (data/tokenize.ts), not here. */
export function renderExample(example: Example, template: Template, tokenizer: Tokenizer): Piece[] {
  switch (example.kind) {
    case 'text':
      return [...prefix(tokenizer), { text: example.text, loss: true }, ...end(tokenizer)];
    case 'completion':
      return [...prefix(tokenizer), { text: example.prompt, loss: false }, { text: example.completion, loss: true }, ...end(tokenizer)];
    case 'instruction':
      if (template === 'alpaca' && example.input.trim() !== '') return [...prefix(tokenizer), ...alpacaWithInput(example, tokenizer)];
      return renderConversation(instructionMessages(example), template, tokenizer);
    case 'conversation':
      return renderConversation(example.messages, template, tokenizer, example.tools);
    case 'preference':
    case 'unpaired':
    case 'ranking':
      throw new Error(`renderExample: in a ${example.kind} row each answer stands alone, and only answers carry loss: render each with renderConversation`);
    case 'classification':
      return [...prefix(tokenizer), { text: example.text, loss: true }];
  }
}

/** Every assistant turn carries loss, up to and with its end-of-turn token. */
export function renderConversation(messages: Message[], template: Template, tokenizer: Tokenizer, tools?: Tool[]): Piece[] {
  if (template === 'chat') return chatTemplate(tokenizer).conversation(messages, tools);
  refuseCalls(messages, template);
  return [...prefix(tokenizer), ...(template === 'chatml' ? chatml : alpaca)(messages, tokenizer)];
}

/** Whether a prompt's list of tools is left out without a word. */
export function dropsTools(template: Template, tokenizer: Tokenizer): boolean {
  return template !== 'chat' || !chatTemplate(tokenizer).tools.lists;
}

/** The model's own template for what else is to be known of it; throws where it has none. */
export const ownTemplate = (tokenizer: Tokenizer): ChatTemplate => chatTemplate(tokenizer);

/** What these two would write for a call nobody else reads as one. */
function refuseCalls(messages: Message[], template: Template): void {
  const at = messages.findIndex((message) => message.tool_calls !== undefined);
  if (at >= 0) throw new Error(`message ${at + 1} calls tools, for which the ${template} template has no form: choose template: chat with a model whose own template writes them`);
}

/** What a person should know before training with this template, one sentence each. */
export function templateWarnings(template: Template, tokenizer: Tokenizer): string[] {
  if (template === 'chat') return chatTemplate(tokenizer).problems.map(({ text }) => text);
  if (template === 'chatml' && !tokenizer.specialTokens.includes('<|im_end|>')) {
    return ["the tokenizer has no <|im_start|> and <|im_end|>: ChatML's marks are ordinary text here, and answers end with the eos token"];
  }
  return [];
}

/** An instruction row as a conversation; the input follows its instruction on a new line (LLaMA-Factory does the same). */
export function instructionMessages({ instruction, input, output }: InstructionExample): Message[] {
  return [
    { role: 'user', content: input.trim() === '' ? instruction : `${instruction}\n${input}` },
    { role: 'assistant', content: output },
  ];
}

export function asMessages(prompt: string | Message[]): Message[] {
  return typeof prompt === 'string' ? [{ role: 'user', content: prompt }] : prompt;
}

const compiled = new WeakMap<Tokenizer, ChatTemplate>();

function chatTemplate(tokenizer: Tokenizer): ChatTemplate {
  if (tokenizer.chatTemplate === null) {
    throw new Error('the model has no chat template (chat_template in tokenizer_config.json, or chat_template.jinja): choose template chatml or alpaca (--template), or give a plain text to continue (--raw)');
  }
  const known = compiled.get(tokenizer) ?? compileTemplates(tokenizer.chatTemplate, tokenizer);
  compiled.set(tokenizer, known);
  return known;
}

/** Where tools are given, a tokenizer's template for them stands in for the usual one, as in transformers. */
function compileTemplates(usual: string, tokenizer: Tokenizer): ChatTemplate {
  const plain = compileChatTemplate(usual, tokenizer);
  if (tokenizer.toolTemplate === null) return plain;
  const withTools = compileChatTemplate(tokenizer.toolTemplate, tokenizer);
  return {
    prompt: (messages, tools) => (tools ? withTools : plain).prompt(messages, tools),
    conversation: (messages, tools) => (tools ? withTools : plain).conversation(messages, tools),
    get tools() {
      return withTools.tools;
    },
    problems: plain.problems,
  };
}

const fixed = (text: string): Piece => ({ text, loss: false, special: true });
const content = (text: string): Piece => ({ text, loss: false });
const answer = (text: string): Piece => ({ text, loss: true });

/** The tokens this tokenizer puts before any text (Llama's <s>). A chat template writes its own. */
const prefix = (tokenizer: Tokenizer): Piece[] => tokenizer.prefixIds.map((id) => fixed(tokenizer.token(id)));

function end(tokenizer: Tokenizer): Piece[] {
  if (tokenizer.eosIds.length === 0) throw new Error('the tokenizer names no eos_token, so an answer could never end: set eos_token in tokenizer_config.json');
  return [{ text: tokenizer.token(tokenizer.eosIds[0]), loss: true, special: true }];
}

function chatml(messages: Message[], tokenizer: Tokenizer): Piece[] {
  const close = tokenizer.specialTokens.includes('<|im_end|>') ? '<|im_end|>' : null;
  return messages.flatMap((message) => {
    const head = fixed(`<|im_start|>${message.role}\n`);
    if (message.role !== 'assistant') return [head, content(message.content), fixed('<|im_end|>\n')];
    const closing: Piece[] = close === null ? end(tokenizer) : [{ text: close, loss: true, special: true }];
    return [head, answer(message.content), ...closing, fixed('\n')];
  });
}

const ALPACA = 'Below is an instruction that describes a task. Write a response that appropriately completes the request.';
const ALPACA_WITH_INPUT =
  'Below is an instruction that describes a task, paired with an input that provides further context. ' +
  'Write a response that appropriately completes the request.';

function alpacaWithInput({ instruction, input, output }: InstructionExample, tokenizer: Tokenizer): Piece[] {
  return [
    fixed(`${ALPACA_WITH_INPUT}\n\n### Instruction:\n`),
    content(instruction),
    fixed('\n\n### Input:\n'),
    content(input),
    fixed('\n\n### Response:'),
    answer(output),
    ...end(tokenizer),
  ];
}

/** Alpaca knows one turn; further ones repeat its headings, and a system message takes the place of its opening sentence. */
function alpaca(messages: Message[], tokenizer: Tokenizer): Piece[] {
  const hasSystem = messages[0]?.role === 'system';
  const opening = [hasSystem ? content(messages[0].content) : fixed(ALPACA), fixed('\n\n')];
  const turns = messages.slice(hasSystem ? 1 : 0).flatMap(({ role, content: text }, i, all): Piece[] => {
    if (role === 'assistant') return [fixed('### Response:'), answer(text), ...end(tokenizer), ...(i + 1 < all.length ? [fixed('\n\n')] : [])];
    const heading = { user: 'Instruction', system: 'System', tool: 'Input' }[role];
    return [fixed(`### ${heading}:\n`), content(text), fixed('\n\n')];
  });
  return [...opening, ...turns];
}
