/** One row of a file → an Example, for each format, and which format a row looks like. Throws RowError with the reason to skip a row. */
import { type DatasetFormat, Example, type Message } from '../../../shared/dataset.ts';
import { readPreference, readTranscripts } from './preference.ts';
import { answerOf, optionalText, type Row, RowError, textOf } from './row.ts';
import { checkConversation, readTurns } from './turns.ts';

export function convertRow(row: Row, format: DatasetFormat): Example {
  if (row.label === false) throw new RowError('the row is marked as unwanted (label: false)');
  if (typeof row.kind === 'string') return readExample(row);
  return CONVERTERS[format](row);
}

/** Null when the row fits no format. */
export function classifyRow(row: Row): DatasetFormat | null {
  const { chosen, rejected } = row;
  if (chosen !== undefined && rejected !== undefined) {
    const transcript = (value: unknown): boolean => typeof value === 'string' && /^\s*Human:/.test(value);
    return transcript(chosen) && transcript(rejected) && row.prompt === undefined ? 'hh-rlhf' : 'preference';
  }
  const turns = row.messages ?? row.conversations ?? row.conversation;
  if (Array.isArray(turns)) return (turns[0] as Row | undefined)?.from === undefined ? 'messages' : 'sharegpt';
  if (row.instruction !== undefined && (row.output !== undefined || row.response !== undefined)) return 'alpaca';
  if (row.prompt !== undefined && row.completion !== undefined) return 'prompt-completion';
  return row.text === undefined ? null : 'text';
}

const CONVERTERS: Record<DatasetFormat, (row: Row) => Example> = {
  alpaca: readInstruction,
  'prompt-completion': readCompletion,
  messages: readConversation,
  sharegpt: readConversation,
  preference: readPreference,
  'hh-rlhf': readTranscripts,
  text: (row) => ({ kind: 'text', text: answerOf(row.text, 'text') }),
};

/** A row as Attune itself writes it, of any kind. */
function readExample(row: Row): Example {
  const parsed = Example.safeParse(row);
  if (!parsed.success) throw new RowError(`${parsed.error.issues[0].path.join('.') || 'kind'}: ${parsed.error.issues[0].message}`);
  const example = parsed.data;
  if (example.kind === 'preference') return readPreference(example);
  if (example.kind === 'conversation') checkConversation(example.messages);
  if (example.kind === 'instruction') answerOf(example.output, 'output');
  if (example.kind === 'completion') answerOf(example.completion, 'completion');
  if (example.kind === 'text') answerOf(example.text, 'text');
  return example;
}

/** Alpaca's fields; Dolly's context and response; LLaMA-Factory's system and history make it a conversation. */
function readInstruction(row: Row): Example {
  const instruction = textOf(row.instruction, 'instruction');
  const input = optionalText(row.input ?? row.context, 'input');
  const output = row.output === undefined ? answerOf(row.response, 'output') : answerOf(row.output, 'output');
  if (instruction.trim() === '' && input.trim() === '') throw new RowError('instruction is empty');
  const system = optionalText(row.system, 'system');
  const history = Array.isArray(row.history) ? row.history : [];
  if (system.trim() === '' && history.length === 0) return { kind: 'instruction', instruction, input, output };
  const messages: Message[] = system.trim() === '' ? [] : [{ role: 'system', content: system }];
  history.forEach((turn: unknown, i) => {
    if (!Array.isArray(turn)) throw new RowError(`history[${i}] is not a question and an answer`);
    messages.push({ role: 'user', content: textOf(turn[0], `history[${i}][0]`) }, { role: 'assistant', content: textOf(turn[1], `history[${i}][1]`) });
  });
  messages.push({ role: 'user', content: input.trim() === '' ? instruction : `${instruction}\n${input}` }, { role: 'assistant', content: output });
  checkConversation(messages);
  return { kind: 'conversation', messages };
}

/** Strings are raw text; messages (TRL's conversational form) are a conversation. */
function readCompletion(row: Row): Example {
  if (!Array.isArray(row.prompt) && !Array.isArray(row.completion)) {
    return { kind: 'completion', prompt: textOf(row.prompt, 'prompt'), completion: answerOf(row.completion, 'completion') };
  }
  const messages = [...readTurns(row.prompt, 'prompt'), ...readTurns(row.completion, 'completion')];
  checkConversation(messages);
  return { kind: 'conversation', messages };
}

function readConversation(row: Row): Example {
  const field = row.messages !== undefined ? 'messages' : row.conversations !== undefined ? 'conversations' : 'conversation';
  const messages = readTurns(row[field], field);
  const system = optionalText(row.system, 'system');
  if (system.trim() !== '' && messages[0].role !== 'system') messages.unshift({ role: 'system', content: system });
  checkConversation(messages);
  return { kind: 'conversation', messages };
}
