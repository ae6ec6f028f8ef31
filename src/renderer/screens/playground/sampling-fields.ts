/** The sampling settings as fields: ranges and defaults read off shared/sampling.ts, so that a setting added there is a field here. Words are SamplingPanel's. */
import { z } from 'zod';
import { Sampling } from '../../../shared/sampling.ts';

export type NumberSetting = Exclude<keyof Sampling, 'stop' | 'filterOrder' | 'earlyStopping'>;
export type NumberField = { name: NumberSetting; integer: boolean; least: number | null; /** the least itself is out */ above: boolean; most: number | null; standard: number };

type Property = { type: string; minimum?: number; maximum?: number; exclusiveMinimum?: number; default?: unknown };
const properties = z.toJSONSchema(Sampling, { io: 'input' }).properties as Record<keyof Sampling, Property>;

/** A bound no person set is the end of the whole numbers. */
const bound = (value: number | undefined): number | null => (value === undefined || Math.abs(value) >= Number.MAX_SAFE_INTEGER ? null : value);

export const NUMBER_FIELDS: NumberField[] = Object.entries(properties)
  .filter(([, { type }]) => type === 'number' || type === 'integer')
  .map(([name, { type, minimum, exclusiveMinimum, maximum, default: standard }]) => ({
    name: name as NumberSetting,
    integer: type === 'integer',
    least: bound(exclusiveMinimum ?? minimum),
    above: exclusiveMinimum !== undefined,
    most: bound(maximum),
    standard: standard as number,
  }));

/** Of beam search alone; they mean nothing where one answer is drawn. */
export const BEAM_SETTINGS: NumberSetting[] = ['numBeams', 'numBeamGroups', 'diversityPenalty', 'lengthPenalty'];

export const DEFAULTS = Object.fromEntries(Object.entries(properties).map(([name, { default: standard }]) => [name, standard])) as Sampling;

/** The number a person wrote, or null when it will not do. */
export function readNumber(field: NumberField, text: string): number | null {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  const tooSmall = field.least !== null && (field.above ? value <= field.least : value < field.least);
  const fits = Number.isFinite(value) && !tooSmall && (field.most === null || value <= field.most) && (!field.integer || Number.isSafeInteger(value));
  return fits ? value : null;
}

/** Stop strings, one a line; `\n` and `\t` stand for a line break and a tab, `\\` for a backslash. */
export function readStops(text: string): string[] {
  const unescape = (line: string): string => line.replace(/\\([nt\\])/g, (_, c: string) => ({ n: '\n', t: '\t', '\\': '\\' })[c]!);
  return text.split('\n').filter((line) => line !== '').map(unescape);
}

export function writeStops(stops: string[]): string {
  return stops.map((stop) => stop.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\t', '\\t')).join('\n');
}
