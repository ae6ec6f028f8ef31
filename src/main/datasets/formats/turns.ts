/** Conversations in the spellings of the field: OpenAI's role/content, ShareGPT's from/value, Anthropic's transcripts. */
import type { Message } from '../../../shared/dataset.ts';
import { readToolCalls, type Tool, type ToolCall, toolName } from '../../../shared/tools.ts';
import { optionalText, RowError, type Row, textOf, withToolErrors } from './row.ts';

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
  tool: 'tool',
  observation: 'tool',
  function: 'tool',
  function_response: 'tool',
  tool_response: 'tool',
};

/** ShareGPT's turns whose text is a call, or a list of calls, as JSON. */
const CALLS = ['function_call', 'tool_call'];

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
  const key = from.toLowerCase();
  const content = turn.content ?? turn.value;
  const text = 'value' in turn ? 'value' : 'content';
  if (CALLS.includes(key)) {
    const calls = readCalls(content, `${field}.${text}`);
    if (!calls) throw new RowError(`${field}.${text} is empty, where a call as JSON is expected`);
    return { role: 'assistant', content: '', tool_calls: calls };
  }
  if (!Object.hasOwn(ROLES, key)) throw new RowError(`${field} has the unknown role ${JSON.stringify(from)}`);
  const role = ROLES[key];
  // OpenAI's older field has one call
  const calls = readCalls(turn.tool_calls, `${field}.tool_calls`) ?? readCalls(turn.function_call, `${field}.function_call`);
  if (calls && role !== 'assistant') throw new RowError(`${field} calls tools, but is the ${role}'s: only the assistant calls`);
  const said = Array.isArray(content) ? readParts(content, field) : calls ? optionalText(content, `${field}.${text}`) : textOf(content, `${field}.${text}`);
  const answers = role === 'tool' ? { tool_call_id: optionalText(turn.tool_call_id, `${field}.tool_call_id`), name: optionalText(turn.name, `${field}.name`) } : {};
  return { role, content: said, ...(calls && { tool_calls: calls }), ...Object.fromEntries(Object.entries(answers).filter(([, value]) => value !== '')) };
}

const readCalls = (value: unknown, field: string): ToolCall[] | undefined => withToolErrors(() => readToolCalls(value, field));

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

/** Every answer must have text, and the last turn must be one. */
export function checkConversation(messages: Message[]): void {
  const answers = messages.filter(({ role }) => role === 'assistant');
  if (answers.length === 0) throw new RowError('no assistant turn: there is nothing to learn from');
  const empty = messages.findIndex(({ role, content, tool_calls: calls }) => role === 'assistant' && content.trim() === '' && !calls);
  if (empty >= 0) throw new RowError(`the assistant's turn (message ${empty + 1}) is empty`);
  const last = messages[messages.length - 1].role;
  if (last !== 'assistant') throw new RowError(`the last turn is the ${last}'s, not the assistant's: nothing answers it`);
}

/** What is unusual about the turns but can be trained on; templates may refuse it or render it in a way nobody meant. */
export function findOddTurns(messages: Message[], tools: Tool[] = []): string[] {
  const known = tools.map(toolName);
  const asked = new Set<string | undefined>();
  return messages.flatMap(({ role, content, tool_calls: calls = [], tool_call_id: answered }, i) => {
    const before = messages[i - 1]?.role;
    const odd: string[] = [];
    for (const { id, function: { name } } of calls) {
      asked.add(id);
      if (known.length > 0 && !known.includes(name)) odd.push(`message ${i + 1} calls ${name}, which is none of the row's tools`);
    }
    if (answered !== undefined && !asked.has(answered)) odd.push(`message ${i + 1} answers the call ${answered}, which nobody made before`);
    if ((role === 'user' || role === 'assistant') && content.trim() === '' && calls.length === 0) odd.push(`message ${i + 1} (the ${role}'s) is empty`);
    if (role === 'system' && i > 0) odd.push(`message ${i + 1} is the system's, but not the first`);
    else if (role === 'tool' && before !== 'assistant' && before !== 'tool') odd.push(`message ${i + 1} is a tool's, but follows no call`);
    else if (role === 'assistant' && (before === undefined || before === 'system')) odd.push('the first turn is the assistant\'s');
    else if (role === before && role !== 'tool') odd.push(`messages ${i} and ${i + 1} are both the ${role}'s`);
    return odd;
  });
}

export const isTranscript = (value: unknown): boolean => typeof value === 'string' && /^\s*(Human|Assistant):/.test(value);

/** "\n\nHuman: …\n\nAssistant: …" */
export function readTranscript(text: string, field: string): Message[] {
  const parts = `\n\n${text.trimStart()}`.split(/\n\n(Human|Assistant):/);
  if (parts.length < 3 || parts[0].trim() !== '') throw new RowError(`${field} is not a transcript of Human: and Assistant: turns`);
  const messages: Message[] = [];
  for (let i = 1; i < parts.length; i += 2) messages.push({ role: parts[i] === 'Human' ? 'user' : 'assistant', content: parts[i + 1].trim() });
  return messages;
}
