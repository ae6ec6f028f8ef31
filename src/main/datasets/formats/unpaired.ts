/**
 * Rows with one answer and whether it is wanted: TRL's unpaired preference (prompt, completion, label), its texts or messages; and LLaMA-Factory's, a
 * whole conversation whose last turn the label is of. The label is true or false, or 1 or 0; LLaMA-Factory may call it kto_tag.
 */
import type { Message, UnpairedExample } from '../../../shared/dataset.ts';
import { askedBy, readPrompt, readSide, said } from './preference.ts';
import { type Row, RowError, toolsOf } from './row.ts';

const LABELS = new Map<unknown, boolean>([[true, true], [false, false], [1, true], [0, false], ['true', true], ['false', false], ['1', true], ['0', false]]);

/** Taken for such a row by true or false, where the label stands beside a whole conversation: numbers there are of many meanings. */
export function isUnpaired(row: Row): boolean {
  const mark = lower(labelOf(row));
  if (!LABELS.has(mark)) return false;
  if (completionOf(row) !== undefined) return PROMPTS.some((field) => (row[field] ?? null) !== null);
  return holdsAnswer(row) && ![1, 0, '1', '0'].includes(mark as string);
}

export function readUnpaired(row: Row): UnpairedExample {
  const label = LABELS.get(lower(labelOf(row)));
  if (label === undefined) throw new RowError(`label is ${JSON.stringify(labelOf(row)) ?? 'missing'}, not true or false`);
  const turns = [...readPrompt(row), ...(completionOf(row) === undefined && holdsAnswer(row) ? [] : readSide(completionOf(row), 'completion'))];
  const answer = turns.pop() as Message;
  if (answer.role !== 'assistant') throw new RowError('completion does not end with an assistant turn');
  return { kind: 'unpaired', prompt: askedBy(turns), ...toolsOf(row), completion: said(answer, 'completion'), label };
}

const PROMPTS = ['prompt', 'conversations', 'messages', 'question', 'instruction'];
const completionOf = (row: Row): unknown => row.completion ?? row.response ?? (row.kto_tag === undefined ? undefined : (row.output ?? undefined));
const labelOf = (row: Row): unknown => row.label ?? row.kto_tag;
const lower = (value: unknown): unknown => (typeof value === 'string' ? value.trim().toLowerCase() : value);

/** Whether the prompt is a conversation that has its answer in it. */
function holdsAnswer(row: Row): boolean {
  const turns = row.prompt ?? row.conversations ?? row.messages;
  const last = (Array.isArray(turns) ? turns.at(-1) : undefined) as Row | undefined;
  return last !== undefined && last !== null && ['assistant', 'gpt', 'chatgpt', 'bot', 'model', 'function_call', 'tool_call'].includes(String(last.role ?? last.from).toLowerCase());
}
