/** What converters share: a row, and why one cannot be read. */
import { readTools, type Tool, ToolError } from '../../../shared/tools.ts';

export type Row = Record<string, unknown>;

/** A row that is skipped; the message is the reason a person reads. */
export class RowError extends Error {}

export function textOf(value: unknown, field: string): string {
  if (typeof value === 'string') return value;
  if (value === undefined) throw new RowError(`${field} is missing`);
  if (typeof value === 'number') return String(value);
  throw new RowError(`${field} is ${value === null ? 'null' : Array.isArray(value) ? 'a list' : `a ${typeof value}`}, not text`);
}

/** '' for a field that is absent or null. */
export const optionalText = (value: unknown, field: string): string => (value === undefined || value === null ? '' : textOf(value, field));

export function numberOf(value: unknown, field: string): number {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof number === 'number' && Number.isFinite(number)) return number;
  throw new RowError(`${field} is ${JSON.stringify(value)}, not a number`);
}

export function answerOf(value: unknown, field: string): string {
  const text = textOf(value, field);
  if (text.trim() === '') throw new RowError(`${field} is empty`);
  return text;
}

/** What reads tools or calls, its mistakes as reasons to skip a row. */
export function withToolErrors<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof ToolError ? new RowError(error.message) : error;
  }
}

/** The row's list of tools, to be spread into an example; nothing where there is none. */
export function toolsOf(row: Row): { tools?: Tool[] } {
  const tools = withToolErrors(() => readTools(row.tools));
  return tools ? { tools } : {};
}
