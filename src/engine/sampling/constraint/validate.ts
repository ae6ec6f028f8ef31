/**
 * Reads a whole answer again with other eyes than the matcher's: JSON.parse and ajv for schemas, RegExp for patterns. Grammars have no second reader
 * here; compile.ts runs theirs once more over the whole text.
 */
import Ajv from 'ajv';
import Ajv2020 from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import type { Validity } from '../../../shared/constraint.ts';
import { ConstraintError } from './constraint.ts';
import { draftOf, type Schema } from './json-schema/document.ts';
import { unicodeSource } from './language.ts';

export const VALID: Validity = { valid: true, reason: null };
export const invalid = (reason: string): Validity => ({ valid: false, reason });

/** Throws where the schema itself is not one: a type that does not exist, a number where a list belongs. `compile` it when its references are known to lead somewhere. */
export function readSchema(schema: Schema): { compile(): (text: string) => Validity } {
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
        if (check(value)) return VALID;
        const { instancePath, message } = check.errors![0];
        return invalid(`${instancePath === '' ? 'the answer' : instancePath} ${message ?? 'does not meet the schema'}`);
      };
    },
  };
}

export function objectValidator(text: string): Validity {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? VALID : invalid('JSON, but not an object');
  } catch (error) {
    return invalid(`not JSON: ${(error as Error).message}`);
  }
}

export function patternValidator(pattern: string): (text: string) => Validity {
  const whole = new RegExp(`^(?:${unicodeSource(pattern)})$`, 'u');
  return (text) => (whole.test(text) ? VALID : invalid(`does not match ${pattern}`));
}
