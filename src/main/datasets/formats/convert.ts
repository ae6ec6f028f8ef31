/** One row of a file → an Example, for each format, and which formats a row's columns fit. RowError has the reason to skip a row. */
import type { ColumnMapping } from '../../../shared/api/datasets.ts';
import type { DatasetFormat, Example, Message } from '../../../shared/dataset.ts';
import { readPreference, readTranscripts } from './preference.ts';
import { readRanking } from './ranking.ts';
import { answerOf, optionalText, type Row, RowError, textOf, toolsOf } from './row.ts';
import { isUnpaired, readUnpaired } from './unpaired.ts';
import { checkConversation, isTranscript, readTurns } from './turns.ts';

/** A field that a format reads; `or`: other names of the column. */
type Field = { name: string; required: boolean; or?: string[] };
type Format = { needs: string; fields: Field[]; fits: (row: Row) => boolean; read: (row: Row) => Example };

const required = (name: string, or?: string[]): Field => ({ name, required: true, or });
const optional = (name: string, or?: string[]): Field => ({ name, required: false, or });

/** `needs` tells a person what `fits` looks for. Where a row fits several, the first is taken for its format. */
export const FORMATS: Record<DatasetFormat, Format> = {
  preference: {
    needs: 'chosen and rejected with a prompt',
    fields: [
      optional('prompt', ['conversations', 'messages', 'question']),
      optional('instruction'),
      optional('input'),
      required('chosen'),
      required('rejected'),
      optional('system'),
      optional('tools'),
      optional('margin'),
    ],
    // without a prompt only where it may stand in the answers: whole conversations
    fits: (row) => has(row, 'chosen') && has(row, 'rejected') && (typeof row.chosen === 'object' || PROMPTS.some((field) => has(row, field))),
    read: readPreference,
  },
  'hh-rlhf': {
    needs: 'chosen and rejected as transcripts of Human: and Assistant: turns',
    fields: [required('chosen'), required('rejected')],
    fits: (row) => isTranscript(row.chosen) && isTranscript(row.rejected),
    read: readTranscripts,
  },
  ranking: {
    needs: 'prompt and responses, a list of answers, best first or with rank or scores',
    fields: [required('prompt', ['instruction', 'question', 'messages']), required('responses', ['answers', 'completions']), optional('scores'), optional('rank'), optional('system'), optional('tools')],
    fits: (row) => Array.isArray(row.responses ?? row.answers ?? row.completions) && PROMPTS.some((field) => has(row, field)),
    read: readRanking,
  },
  unpaired: {
    needs: 'prompt, completion and label (true or false), or messages and label',
    fields: [required('prompt', ['messages', 'conversations', 'question', 'instruction']), optional('completion', ['response', 'output']), required('label', ['kto_tag']), optional('input'), optional('system'), optional('tools')],
    fits: isUnpaired,
    read: readUnpaired,
  },
  sharegpt: {
    needs: 'conversations of from and value',
    fields: [required('conversations', ['messages', 'conversation']), optional('system'), optional('tools')],
    fits: (row) => has((turnsOf(row)?.[0] ?? {}) as Row, 'from'),
    read: readConversation,
  },
  messages: {
    needs: 'messages of role and content',
    fields: [required('messages', ['conversations', 'conversation']), optional('system'), optional('tools')],
    fits: (row) => turnsOf(row) !== null,
    read: readConversation,
  },
  alpaca: {
    needs: 'instruction and output',
    fields: [required('instruction'), optional('input', ['context']), required('output', ['response']), optional('system'), optional('history'), optional('tools')],
    fits: (row) => has(row, 'instruction') && (has(row, 'output') || has(row, 'response')),
    read: readInstruction,
  },
  'prompt-completion': {
    needs: 'prompt and completion',
    fields: [required('prompt'), required('completion', ['response']), optional('tools')],
    fits: (row) => has(row, 'prompt') && (has(row, 'completion') || has(row, 'response')),
    read: readCompletion,
  },
  classification: {
    needs: 'text and label',
    fields: [required('text', ['sentence']), required('label', ['label_text'])],
    // true and false beside a text are KTO's and others' marks of good and bad, not classes
    fits: (row) => (has(row, 'text') || has(row, 'sentence')) && ['string', 'number'].includes(typeof (row.label ?? row.label_text)),
    read: (row) => ({ kind: 'classification', text: answerOf(row.text ?? row.sentence, 'text'), label: answerOf(row.label ?? row.label_text, 'label').trim() }),
  },
  text: {
    needs: 'text',
    fields: [required('text')],
    fits: (row) => has(row, 'text'),
    read: (row) => ({ kind: 'text', text: answerOf(row.text, 'text') }),
  },
};

/** How rows that Attune wrote itself are spelled; a file of them may mix kinds. */
const FORMAT_OF_KIND = new Map<unknown, DatasetFormat>([
  ['instruction', 'alpaca'],
  ['conversation', 'messages'],
  ['completion', 'prompt-completion'],
  ['preference', 'preference'],
  ['ranking', 'ranking'],
  ['classification', 'classification'],
  ['unpaired', 'unpaired'],
  ['text', 'text'],
] satisfies [Example['kind'], DatasetFormat][]);

/** Where a preference row may have its prompt. */
const PROMPTS = ['prompt', 'conversations', 'messages', 'question', 'instruction'];
const TURNS = ['messages', 'conversations', 'conversation'];

export function convertRow(row: Row, format: DatasetFormat): Example {
  if (row.label === false && format !== 'unpaired') throw new RowError('the row is marked as unwanted (label: false)');
  if (FORMATS[format].fits(row)) return FORMATS[format].read(row);
  const own = FORMAT_OF_KIND.get(row.kind); // anyone may call a column kind: it counts only where the row is as we write it
  return FORMATS[own !== undefined && FORMATS[own].fits(row) ? own : format].read(row);
}

/** The row as its format names things: only what the mapping (our field → the file's column) names is read. Without one, the row itself. */
export function mapColumns(row: Row, mapping: ColumnMapping | undefined): Row {
  const entries = Object.entries(mapping ?? {});
  return entries.length === 0 ? row : { ...(row.label === false && { label: false }), ...Object.fromEntries(entries.map(([field, column]) => [field, row[column]])) };
}

/** Which columns the format reads when nobody says otherwise: of each field's names the first that is there. */
export function ownMapping(format: DatasetFormat, columns: string[]): ColumnMapping {
  const found = FORMATS[format].fields.map(({ name, or = [] }) => [name, [name, ...or].find((column) => columns.includes(column))]);
  return Object.fromEntries(found.filter(([, column]) => column !== undefined)) as ColumnMapping;
}

/** The formats a row's columns fit, likeliest first. */
export function fittingFormats(row: Row): DatasetFormat[] {
  return (Object.keys(FORMATS) as DatasetFormat[]).filter((format) => FORMATS[format].fits(row));
}

const has = (row: Row, field: string): boolean => row[field] !== undefined && row[field] !== null;

const turnsOf = (row: Row): unknown[] | null => (TURNS.map((field) => row[field]).find(Array.isArray) as unknown[] | undefined) ?? null;

/** Alpaca's fields; Dolly's context and response; LLaMA-Factory's system, history and tools make it a conversation. */
function readInstruction(row: Row): Example {
  const instruction = textOf(row.instruction, 'instruction');
  const input = optionalText(row.input ?? row.context, 'input');
  const output = answerOf(row.output ?? row.response, 'output');
  if (instruction.trim() === '' && input.trim() === '') throw new RowError('instruction is empty');
  const system = optionalText(row.system, 'system');
  const history = Array.isArray(row.history) ? row.history : [];
  const tools = toolsOf(row);
  if (system.trim() === '' && history.length === 0 && !tools.tools) return { kind: 'instruction', instruction, input, output };
  const messages: Message[] = system.trim() === '' ? [] : [{ role: 'system', content: system }];
  history.forEach((turn: unknown, i) => {
    if (!Array.isArray(turn)) throw new RowError(`history[${i}] is not a question and an answer`);
    messages.push({ role: 'user', content: textOf(turn[0], `history[${i}][0]`) }, { role: 'assistant', content: textOf(turn[1], `history[${i}][1]`) });
  });
  messages.push({ role: 'user', content: input.trim() === '' ? instruction : `${instruction}\n${input}` }, { role: 'assistant', content: output });
  checkConversation(messages);
  return { kind: 'conversation', messages, ...tools };
}

/** Strings are raw text; messages (TRL's conversational form) are a conversation. */
function readCompletion(row: Row): Example {
  const completion = row.completion ?? row.response;
  if (!Array.isArray(row.prompt) && !Array.isArray(completion)) {
    return { kind: 'completion', prompt: textOf(row.prompt, 'prompt'), completion: answerOf(completion, 'completion') };
  }
  const messages = [...readTurns(row.prompt, 'prompt'), ...readTurns(completion, 'completion')];
  checkConversation(messages);
  return { kind: 'conversation', messages, ...toolsOf(row) };
}

function readConversation(row: Row): Example {
  const field = TURNS.find((name) => Array.isArray(row[name])) ?? 'messages';
  const messages = readTurns(row[field], field);
  const system = optionalText(row.system, 'system');
  if (system.trim() !== '' && messages[0].role !== 'system') messages.unshift({ role: 'system', content: system });
  checkConversation(messages);
  return { kind: 'conversation', messages, ...toolsOf(row) };
}
