/**
 * A row as cells: which columns a dataset's table has, what a cell of them says, and the row with a cell changed. A conversation's cells are its
 * first question and its last answer; a prompt given as messages shows its last turn. Everything else of a row is for the detail pane.
 */
import { type Answer, answerMessage, asAnswer, type DatasetFormat, type Example, type Message, messageText } from '../../../shared/dataset.ts';

export type ColumnId = 'instruction' | 'input' | 'output' | 'prompt' | 'completion' | 'text' | 'chosen' | 'rejected' | 'best' | 'worst' | 'label' | 'question' | 'answer';
export type RowKind = Example['kind'];

const COLUMNS: Record<RowKind, ColumnId[]> = {
  instruction: ['instruction', 'input', 'output'],
  conversation: ['question', 'answer'],
  completion: ['prompt', 'completion'],
  preference: ['prompt', 'chosen', 'rejected'],
  ranking: ['prompt', 'best', 'worst'],
  classification: ['text', 'label'],
  unpaired: ['prompt', 'completion', 'label'],
  text: ['text'],
};
/** Shares of the width. */
export const WIDTHS: Record<ColumnId, number> = {
  instruction: 3, input: 2, output: 4, prompt: 3, completion: 3, text: 4, chosen: 3, rejected: 3, best: 3, worst: 3, label: 1, question: 3, answer: 4,
};
/** What the rows of a file become. */
export const KIND_OF_FORMAT: Record<DatasetFormat, RowKind> = {
  alpaca: 'instruction', 'prompt-completion': 'completion', messages: 'conversation', sharegpt: 'conversation', preference: 'preference', 'hh-rlhf': 'preference',
  unpaired: 'unpaired', ranking: 'ranking', classification: 'classification', text: 'text',
};

/** One kind of row: its fields. Several: what every row has, a question and an answer. */
export function columnsOf(kinds: Iterable<RowKind>): ColumnId[] {
  const all = [...new Set(kinds)];
  return all.length === 1 ? COLUMNS[all[0]] : ['question', 'answer'];
}

/** Whether an answer is marked as good; null where rows have no such mark. A mark is no text: it is flipped, not written. */
export function labelOf(example: Example): boolean | null {
  return example.kind === 'unpaired' ? example.label : null;
}

/** The text a cell is edited as; of an answer that calls tools, what it says beside its calls. */
export function readCell(example: Example, column: ColumnId): string {
  const said = cellOf(example, column);
  return typeof said === 'string' ? said : said.content;
}

/** The text a cell shows: tool calls follow it as JSON. */
export function showCell(example: Example, column: ColumnId): string {
  const said = cellOf(example, column);
  return typeof said === 'string' ? said : messageText(said);
}

function cellOf(example: Example, column: ColumnId): string | Message {
  const at = fieldOf(example, column);
  if (at === null) return '';
  if (example.kind === 'ranking' && typeof at === 'number' && isAnswer(column)) return example.responses[at];
  if (typeof at === 'number') return messagesOf(example)![at];
  return (example as unknown as Record<string, Answer>)[at];
}

/** Whether the row has such a field: an instruction's answer yes, a text's not. */
export function hasCell(example: Example, column: ColumnId): boolean {
  return fieldOf(example, column) !== null;
}

/** The row with the cell's text changed; the row itself where it has no such field. */
export function writeCell(example: Example, column: ColumnId, text: string): Example {
  const at = fieldOf(example, column);
  if (at === null) return example;
  if (example.kind === 'ranking' && typeof at === 'number' && isAnswer(column)) return { ...example, responses: example.responses.with(at, text) };
  if (typeof at !== 'number') return { ...example, [at]: withText((example as unknown as Record<string, Answer>)[at], text) };
  const messages = messagesOf(example)!.map((message, i) => (i === at ? { ...message, content: text } : message));
  return example.kind === 'conversation' ? { ...example, messages } : ({ ...example, prompt: messages } as Example);
}

/** An answer with another text and the calls it has. */
export const withText = (answer: Answer, text: string): Answer => asAnswer({ ...answerMessage(answer), content: text });

export function emptyExample(kind: RowKind): Example {
  switch (kind) {
    case 'instruction':
      return { kind, instruction: '', input: '', output: '' };
    case 'conversation':
      return { kind, messages: [{ role: 'user', content: '' }, { role: 'assistant', content: '' }] };
    case 'completion':
      return { kind, prompt: '', completion: '' };
    case 'preference':
      return { kind, prompt: '', chosen: '', rejected: '' };
    case 'ranking':
      return { kind, prompt: '', responses: ['', ''] };
    case 'classification':
      return { kind, text: '', label: '?' };
    case 'unpaired':
      return { kind, prompt: '', completion: '', label: true };
    case 'text':
      return { kind, text: '' };
  }
}

/** Turns of a conversation, or of a prompt given as one; null where there are none to count. */
export function turnsOf(example: Example): number | null {
  return messagesOf(example)?.length ?? null;
}

function messagesOf(example: Example): Message[] | null {
  if (example.kind === 'conversation') return example.messages;
  return (example.kind === 'preference' || example.kind === 'ranking' || example.kind === 'unpaired') && typeof example.prompt !== 'string' ? example.prompt : null;
}

/** Columns of a ranking that show one of its answers. */
const isAnswer = (column: ColumnId): boolean => column === 'best' || column === 'worst' || column === 'answer' || column === 'output' || column === 'completion' || column === 'chosen' || column === 'rejected';

/** The field's name, or the index of the message or, of a ranking, of the answer. */
function fieldOf(example: Example, column: ColumnId): string | number | null {
  const lastTurn = (messages: Message[], role: Message['role'] | null): number | null => {
    const at = messages.findLastIndex((message) => role === null || message.role === role);
    return at < 0 ? null : at;
  };
  // a table's columns are those of most of its rows: another kind of row shows its question and its answer there
  const asked = column === 'question' || column === 'instruction' || column === 'prompt';
  const answered = column === 'answer' || column === 'output' || column === 'completion';
  switch (example.kind) {
    case 'instruction':
      if (column === 'input') return 'input';
      return asked ? 'instruction' : answered ? 'output' : null;
    case 'completion':
      return asked ? 'prompt' : answered ? 'completion' : null;
    case 'text':
      return answered || column === 'text' ? 'text' : null;
    case 'classification':
      return column === 'label' || answered ? 'label' : column === 'text' || asked ? 'text' : null;
    case 'conversation': {
      if (answered) return lastTurn(example.messages, 'assistant');
      const first = example.messages.findIndex(({ role }) => role === 'user');
      return asked && first >= 0 ? first : null;
    }
    case 'unpaired':
      if (answered) return 'completion';
      if (!asked) return null;
      return typeof example.prompt === 'string' ? 'prompt' : lastTurn(example.prompt, null);
    case 'ranking':
      if (column === 'worst' || column === 'rejected') return example.responses.length - 1;
      if (isAnswer(column)) return 0;
      if (!asked) return null;
      return typeof example.prompt === 'string' ? 'prompt' : lastTurn(example.prompt, null);
    case 'preference':
      if (column === 'rejected') return 'rejected';
      if (column === 'chosen' || answered) return 'chosen';
      if (!asked) return null;
      return typeof example.prompt === 'string' ? 'prompt' : lastTurn(example.prompt, null);
  }
}
