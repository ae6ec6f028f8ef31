/** What converters share: a row, and why one cannot be read. */
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
