/**
 * Rows with one answer and whether it is wanted: TRL's unpaired preference (prompt, completion, label), its texts or messages. The label is
 * true or false, or 1 or 0.
 */
import type { UnpairedExample } from '../../../shared/dataset.ts';
import { askedBy, readPrompt, readSide } from './preference.ts';
import { answerOf, type Row, RowError } from './row.ts';

const LABELS = new Map<unknown, boolean>([[true, true], [false, false], [1, true], [0, false], ['true', true], ['false', false], ['1', true], ['0', false]]);

export const isLabel = (value: unknown): boolean => LABELS.has(lower(value));

export function readUnpaired(row: Row): UnpairedExample {
  const label = LABELS.get(lower(row.label));
  if (label === undefined) throw new RowError(`label is ${JSON.stringify(row.label) ?? 'missing'}, not true or false`);
  const turns = readSide(row.completion ?? row.response, 'completion');
  const answer = turns[turns.length - 1];
  if (answer.role !== 'assistant') throw new RowError('completion does not end with an assistant turn');
  return { kind: 'unpaired', prompt: askedBy([...readPrompt(row), ...turns.slice(0, -1)]), completion: answerOf(answer.content, 'completion'), label };
}

const lower = (value: unknown): unknown => (typeof value === 'string' ? value.trim().toLowerCase() : value);
