/**
 * Reads a whole answer again with other eyes than the matcher's: JSON.parse and ajv for schemas, RegExp for patterns. Grammars have no second reader
 * here, nor have patterns that backtrack for too long; compile.ts runs the network once more over the whole text.
 */
import Ajv from 'ajv';
import Ajv2020 from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { jsonrepair } from 'jsonrepair';
import type { Validity } from '../../../shared/constraint.ts';
import { OutOfTime, withinTime } from '../../within-time.ts';
import { ConstraintError } from './constraint.ts';
import { draftOf, type Schema } from './json-schema/document.ts';
import { unicodeSource } from './language.ts';

export const VALID: Validity = { valid: true, reason: null };
export const invalid = (reason: string): Validity => ({ valid: false, reason });

/** Null: a pattern took too long to say. */
export type Validator = (text: string) => Validity | null;

/** Of a pattern on one answer, ms: some backtrack for ever, and then the network's own word has to do. */
const PATTERN_TIME = 200;

/** Throws where the schema itself is not one: a type that does not exist, a number where a list belongs. `compile` it when its references are known to lead somewhere. */
export function readSchema(schema: Schema): { compile(): Validator } {
  const options = {
    strict: false, ownProperties: true, multipleOfPrecision: 8, logger: false as const, validateSchema: false,
    code: { regExp: Object.assign((source: string) => new RegExp(unicodeSource(source), 'u'), { code: 'new RegExp' }) },
  };
  const draft = draftOf(schema);
  const ajv = draft === '2020-12' ? new Ajv2020.default(options) : new Ajv.default(options);
  ajv.removeKeyword('id'); // draft 4's, which ajv stops at; later drafts know none of that name
  addFormats.default(ajv);
  const plain = typeof schema === 'boolean' ? schema : { ...schema, $schema: draft === '2020-12' ? 'https://json-schema.org/draft/2020-12/schema' : 'http://json-schema.org/draft-07/schema#' };
  if (ajv.validateSchema(plain) !== true) {
    const error = ajv.errors![0];
    const pointer = error.instancePath;
    throw new ConstraintError(`${pointer.split('/').at(-1) || 'the schema'} at #${pointer}: ${error.message ?? 'not a schema'} (JSON Schema ${draft})`, { pointer });
  }
  return {
    compile() {
      let check: ReturnType<typeof ajv.compile>;
      try {
        check = ajv.compile(plain);
      } catch (error) {
        throw new ConstraintError(`the schema cannot be read: ${(error as Error).message}`, { pointer: '' });
      }
      return (text) => {
        let value: unknown;
        try {
          value = JSON.parse(text);
        } catch (error) {
          return invalid(`not JSON: ${(error as Error).message}`);
        }
        const met = inTime(() => check(value));
        if (met === null) return null;
        if (met) return VALID;
        const { instancePath, message } = check.errors![0];
        return invalid(`${instancePath === '' ? 'the answer' : instancePath} ${message ?? 'does not meet the schema'}`);
      };
    },
  };
}

/** With missing quotes, brackets and commas put in, code fences and comments taken out; null where that does not help. */
export function mended(before: string, text: string, check: (text: string) => Validity): Validity | null {
  try {
    const repaired = jsonrepair(text);
    return check(repaired).valid ? { valid: true, reason: null, repaired: before + repaired } : null;
  } catch {
    return null;
  }
}

export function objectValidator(text: string): Validity {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? VALID : invalid('JSON, but not an object');
  } catch (error) {
    return invalid(`not JSON: ${(error as Error).message}`);
  }
}

export function patternValidator(pattern: string): Validator {
  const whole = new RegExp(`^(?:${unicodeSource(pattern)})$`, 'u');
  return (text) => {
    const matches = inTime(() => whole.test(text));
    return matches === null ? null : matches ? VALID : invalid(`does not match ${pattern}`);
  };
}

function inTime(work: () => boolean): boolean | null {
  try {
    return withinTime(PATTERN_TIME, work);
  } catch (error) {
    if (error instanceof OutOfTime) return null;
    throw error;
  }
}
