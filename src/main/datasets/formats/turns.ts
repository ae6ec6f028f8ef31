/** Conversations in the spellings of the field: OpenAI's role/content, ShareGPT's from/value, Anthropic's transcripts. */
import type { Message } from '../../../shared/dataset.ts';
import { RowError, type Row, textOf } from './row.ts';

const ROLES: Record<string, Message['role']> = {
  system: 'system',
  developer: 'system',
  user: 'user',
  human: 'user',
  prompter: 'user',
  assistant: 'assistant',
  gpt: 'assistant',
  chatgpt: 'assistant',
  bot: 'assistant',
  model: 'assistant',
  function_call: 'assistant', // the model writes calls …
  tool_call: 'assistant',
  tool: 'tool', // … and reads their results
  observation: 'tool',
  function: 'tool',
  function_response: 'tool',
  tool_response: 'tool',
};

export function readTurns(value: unknown, field: string): Message[] {
  if (!Array.isArray(value)) throw new RowError(`${field} is not a list of messages`);
  if (value.length === 0) throw new RowError(`${field} is empty`);
  return value.map((turn, i) => readTurn(turn, `${field}[${i}]`));
}

export function readTurn(value: unknown, field: string): Message {
  if (typeof value !== 'object' || value === null) throw new RowError(`${field} is not a message`);
  const turn = value as Row;
  const from = turn.role ?? turn.from;
  if (typeof from !== 'string') throw new RowError(`${field} names no role`);
  const role = ROLES[from.toLowerCase()];
  if (role === undefined) throw new RowError(`${field} has the unknown role ${JSON.stringify(from)}`);
  const content = turn.content ?? turn.value;
  if (Array.isArray(content)) return { role, content: readParts(content, field) };
  const calls = turn.tool_calls ?? turn.function_call;
  if ((content === undefined || content === null || content === '') && calls !== undefined && calls !== null) return { role, content: JSON.stringify(calls) };
  return { role, content: textOf(content, `${field}.${'value' in turn ? 'value' : 'content'}`) };
}

/** OpenAI's content parts; only text can be trained on. */
function readParts(parts: unknown[], field: string): string {
  return parts
    .map((part) => {
      const { type, text } = (part ?? {}) as Row;
      if (type !== 'text' || typeof text !== 'string') throw new RowError(`${field} holds a part that is not text (${JSON.stringify(type)})`);
      return text;
    })
    .join('');
}

/** Every answer must have text, and there must be one. */
export function checkConversation(messages: Message[]): void {
  const answers = messages.filter(({ role }) => role === 'assistant');
  if (answers.length === 0) throw new RowError('no assistant turn: there is nothing to learn from');
  const empty = messages.findIndex(({ role, content }) => role === 'assistant' && content.trim() === '');
  if (empty >= 0) throw new RowError(`the assistant's turn (message ${empty + 1}) is empty`);
}

/** "\n\nHuman: …\n\nAssistant: …" */
export function readTranscript(text: string, field: string): Message[] {
  const parts = `\n\n${text.trimStart()}`.split(/\n\n(Human|Assistant):/);
  if (parts.length < 3 || parts[0].trim() !== '') throw new RowError(`${field} is not a transcript of Human: and Assistant: turns`);
  const messages: Message[] = [];
  for (let i = 1; i < parts.length; i += 2) messages.push({ role: parts[i] === 'Human' ? 'user' : 'assistant', content: parts[i + 1].trim() });
  return messages;
}
