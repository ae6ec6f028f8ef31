/** What answers must be, between the panel's texts and the contract's shape; and in which line of a text a refused part stands. */
import { parseDocument } from 'yaml';
import { Constraint, type ConstraintProblem } from '../../../shared/constraint.ts';

export type Kind = 'none' | Constraint['type'];
export type Draft = { kind: Kind; text: string; after: string; repair: boolean };
export const KINDS: Kind[] = ['none', 'choices', 'regex', 'jsonObject', 'jsonSchema', 'grammar'];

export function draftOf(constraint: Constraint | null): Draft {
  if (constraint === null) return { kind: 'none', text: '', after: '', repair: false };
  const { type, after = '' } = constraint;
  const repair = 'enforce' in constraint && constraint.enforce === 'repair';
  switch (constraint.type) {
    case 'choices': return { kind: type, text: constraint.choices.join('\n'), after, repair };
    case 'regex': return { kind: type, text: constraint.pattern, after, repair };
    case 'jsonSchema': return { kind: type, text: JSON.stringify(constraint.schema, null, 2), after, repair };
    case 'grammar': return { kind: type, text: constraint.grammar, after, repair };
    case 'jsonObject': return { kind: type, text: '', after, repair };
  }
}

/** Null: nothing to ask for yet. A string: why the text cannot be read. */
export function readDraft({ kind, text, after, repair }: Draft): Constraint | null | string {
  const value = valueOf(kind, text);
  if (value === null || typeof value === 'string') return value;
  const json = kind === 'jsonObject' || kind === 'jsonSchema' ? { enforce: repair ? 'repair' : 'mask' } : {};
  const parsed = Constraint.safeParse({ type: kind, ...value, ...json, ...(after === '' ? {} : { after }) });
  return parsed.success ? parsed.data : parsed.error.issues[0].message;
}

function valueOf(kind: Kind, text: string): object | string | null {
  if (kind === 'jsonObject') return {};
  if (kind === 'none' || text.trim() === '') return null;
  if (kind === 'choices') return { choices: text.split('\n').filter((line) => line.trim() !== '') };
  if (kind === 'regex') return { pattern: text };
  if (kind === 'grammar') return { grammar: text };
  try {
    return { schema: JSON.parse(text) as unknown };
  } catch (error) {
    return (error as Error).message;
  }
}

/** From 1; null where the problem is nowhere in particular. */
export function lineOf({ pointer, line }: ConstraintProblem, { kind, text }: Draft): number | null {
  if (line !== null) return line;
  if (kind !== 'jsonSchema' || !pointer) return null;
  const path = pointer.split('/').slice(1).map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  const node = parseDocument(text).getIn(path, true) as { range?: [number, number, number] } | undefined;
  return node?.range ? text.slice(0, node.range[0]).split('\n').length : null;
}
