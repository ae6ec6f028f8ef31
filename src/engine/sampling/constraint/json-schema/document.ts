/**
 * A JSON Schema as a document: which draft it is of, where each part of it stands, and what its references mean. Drafts 7 and 2020-12: a schema that
 * names an older draft is read as the next of these, one that names none as 2020-12. Not here: what the keywords mean.
 */
import { ConstraintError } from '../constraint.ts';

export type SchemaObject = Record<string, unknown>;
export type Schema = boolean | SchemaObject;
export type Draft = 'draft-07' | '2020-12';

export type Document = {
  draft: Draft;
  root: Schema;
  /** Of a part of the document, or of what was made from one (`derive`). */
  pointerOf(schema: Schema): string;
  /** A schema that says what `from` says in other words, and stands where it stands. */
  derive(from: SchemaObject, schema: SchemaObject): SchemaObject;
  resolve(from: SchemaObject, keyword: string, reference: string): Schema;
  refuse(schema: SchemaObject, keyword: string, why: string): never;
};

const BASE = 'schema:///';
/** Their values are data, not schemas. */
const DATA = new Set(['const', 'enum', 'default', 'examples']);

const DRAFTS: Record<string, Draft> = { 'draft-03': 'draft-07', 'draft-04': 'draft-07', 'draft-06': 'draft-07', 'draft-07': 'draft-07', 'draft/2019-09': '2020-12', 'draft/2020-12': '2020-12' };

export function draftOf(schema: Schema): Draft {
  const declared = typeof schema === 'object' ? schema.$schema : undefined;
  if (declared === undefined) return '2020-12';
  const named = /^https?:\/\/json-schema\.org\/(draft[-/][0-9-]+)\/schema#?$/.exec(String(declared))?.[1];
  if (declared === 'http://json-schema.org/schema#' || declared === 'http://json-schema.org/schema') return 'draft-07';
  if (named === undefined || DRAFTS[named] === undefined) {
    throw new ConstraintError(`$schema at #/$schema: ${String(declared)} is not known: leave it out for draft 2020-12, or name draft-07`, { pointer: '/$schema' });
  }
  return DRAFTS[named];
}

export function openDocument(root: Schema): Document {
  const places = new WeakMap<object, { pointer: string; base: string }>();
  const byUri = new Map<string, Schema>();
  const draft = draftOf(root);

  function walk(value: unknown, pointer: string, base: string): void {
    if (typeof value !== 'object' || value === null || places.has(value)) return;
    let own = base;
    if (!Array.isArray(value)) {
      const schema = value as SchemaObject;
      if (typeof schema.$id === 'string') {
        if (schema.$id.startsWith('#')) byUri.set(base.split('#')[0] + schema.$id, schema); // draft 7's way to write an anchor
        else byUri.set((own = absolute(schema.$id, base)), schema);
      }
      for (const anchor of [schema.$anchor, schema.$dynamicAnchor]) if (typeof anchor === 'string') byUri.set(`${own}#${anchor}`, schema);
    }
    places.set(value, { pointer, base: own });
    for (const [key, child] of Object.entries(value)) if (!DATA.has(key)) walk(child, `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`, own);
  }
  byUri.set(BASE, root);
  walk(root, '', BASE);

  const pointerOf = (schema: Schema): string => (typeof schema === 'object' ? (places.get(schema)?.pointer ?? '') : '');
  const refuse = (schema: SchemaObject, keyword: string, why: string): never => {
    const pointer = `${pointerOf(schema)}/${keyword}`;
    throw new ConstraintError(`${keyword} at #${pointer}: ${why}`, { pointer });
  };

  return {
    draft, root, pointerOf, refuse,
    derive(from, schema) {
      places.set(schema, places.get(from) ?? { pointer: '', base: BASE });
      return schema;
    },
    resolve(from, keyword, reference) {
      const base = places.get(from)?.base ?? BASE;
      const [uri, fragment = ''] = absolute(reference, base).split('#');
      const decoded = decodeURIComponent(fragment);
      const anchored = byUri.get(`${uri}#${decoded}`);
      if (anchored !== undefined) return anchored;
      let target: unknown = byUri.get(uri);
      if (target === undefined) refuse(from, keyword, `${reference} is not in this schema, and nothing is fetched: put what it means under $defs`);
      for (const part of decoded.split('/').slice(1)) {
        const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
        target = typeof target === 'object' && target !== null && Object.hasOwn(target, key) ? (target as SchemaObject)[key] : undefined;
      }
      if ((decoded !== '' && !decoded.startsWith('/')) || (typeof target !== 'boolean' && (typeof target !== 'object' || target === null))) {
        refuse(from, keyword, `${reference} leads to nothing in this schema`);
      }
      return target as Schema;
    },
  };
}

function absolute(reference: string, base: string): string {
  if (reference.startsWith('#')) return base.split('#')[0] + reference;
  try {
    return new URL(reference, base).href.replace(/#$/, '');
  } catch {
    return reference; // a URN, or no URI at all: it is only compared
  }
}
