/**
 * A recipe as YAML text, which is the draft itself: the form reads it and writes single fields into it, so comments, order and what the form
 * does not show stay as they are. Text in, text out; what the fields mean is fields.ts's.
 */
import { Document, isMap, isNode, isScalar, isSeq, type Pair, parseDocument, Scalar, YAMLMap, YAMLSeq } from 'yaml';
import type { Field } from './fields.ts';

export type RecipeText = { document: Document.Parsed; /** null while the text is no YAML */ value: Record<string, unknown> | null };

export function readText(text: string): RecipeText {
  const document = parseDocument(text, { prettyErrors: false });
  if (document.errors.length > 0) return { document, value: null };
  const value: unknown = document.toJS();
  if (value === null) return { document, value: {} };
  return { document, value: typeof value === 'object' && !Array.isArray(value) ? (value as Record<string, unknown>) : null };
}

export function valueAt(value: unknown, path: string[]): unknown {
  return path.reduce<unknown>((at, key) => (typeof at === 'object' && at !== null ? (at as Record<string, unknown>)[key] : undefined), value);
}

/** `order`: names of the top level as the schema has them; a new one is put in its place. */
export function setField(text: string, path: string[], value: unknown, order: string[]): string {
  const { document } = readText(text);
  if (!isMap(document.contents)) (document as Document).contents = new YAMLMap();
  const top = document.contents as unknown as YAMLMap;
  const parent = path.length > 1 ? (document as Document).getIn(path.slice(0, -1)) : null;
  if (isMap(parent) && parent.items.length === 0) parent.flow = false;
  // `optimizer:` with nothing behind it is null, and nothing can be put into that
  if (path.length > 1 && !isMap(parent)) (document as Document).setIn(path.slice(0, -1), new YAMLMap());
  const there = (document as Document).getIn(path, true);
  if (isScalar(there) && (typeof value !== 'object' || value === null)) Object.assign(there, { value, ...spelling(value), source: undefined, type: undefined });
  else (document as Document).setIn(path, scalar(document, value));
  sortIn(top, path[0], order);
  return write(document);
}

export function unsetField(text: string, path: string[]): string {
  const { document } = readText(text);
  if (!isMap(document.contents)) return text;
  if ((document as Document).hasIn(path)) (document as Document).deleteIn(path);
  return write(document);
}

/** A further item at the end of a list, which begins with it where there was none. A comment above an item is the item's. */
export function addItem(text: string, path: string[], value: unknown, order: string[]): string {
  if (!Array.isArray(valueAt(readText(text).value, path))) text = setField(text, path, [], order);
  return changeList(text, path, (list, document) => {
    if (list.items.length === 0) list.flow = false;
    list.add(document.createNode(value));
  });
}

export function moveItem(text: string, path: string[], from: number, to: number): string {
  return changeList(text, path, ({ items }) => void items.splice(to, 0, ...items.splice(from, 1)));
}

export function removeItem(text: string, path: string[], index: number): string {
  return changeList(text, path, ({ items }) => void items.splice(index, 1));
}

function changeList(text: string, path: string[], change: (list: YAMLSeq, document: Document) => void): string {
  const { document } = readText(text);
  const list = (document as Document).getIn(path) as YAMLSeq;
  const first: unknown = list.items[0];
  // the reader takes a comment above the first item for one of the whole list
  if (list.commentBefore && isNode(first)) [first.commentBefore, list.commentBefore] = [list.commentBefore, undefined];
  change(list, document);
  return write(document);
}

/** Every field written out, or only those that differ from their default. Comments of fields that stay, stay. */
export function withDefaults(text: string, fields: Field[], all: boolean): string {
  const order = topLevel(fields);
  for (const field of fields) {
    const value = readText(text).value;
    const given = valueAt(value, field.path);
    if (field.standard === undefined) continue;
    const inOffGroup = field.path.length > 1 && valueAt(value, field.path.slice(0, -1)) === null;
    if (all && given === undefined && !inOffGroup) text = setField(text, field.path, field.standard, order);
    if (!all && given !== undefined && same(given, field.standard)) text = unsetField(text, field.path);
  }
  // what is left empty of a group that has a default of its own (optimizer: {}) says nothing
  for (const name of order) {
    const given = valueAt(readText(text).value, [name]);
    const switchable = fields.some(({ key, kind }) => key === name && kind === 'group');
    if (!all && !switchable && given !== null && typeof given === 'object' && !Array.isArray(given) && Object.keys(given).length === 0) text = unsetField(text, [name]);
  }
  return text;
}

export const topLevel = (fields: Field[]): string[] => ['method', ...new Set(fields.map(({ path }) => path[0]))];

export const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** Where a field stands in the text, as offsets: its value (or its name, or that of the nearest thing around it that is there). */
export function placeOf(document: Document.Parsed, path: string[], nameOnly = false): { from: number; to: number } {
  let at: unknown = document.contents;
  let place = { from: 0, to: 0 };
  for (const key of path) {
    if (isSeq(at)) {
      at = at.items[Number(key)];
      if (isNode(at) && at.range) place = { from: at.range[0], to: at.range[1] };
      continue;
    }
    if (!isMap(at)) break;
    const pair = (at.items as Pair<Scalar, Scalar>[]).find((candidate) => candidate.key.value === key);
    if (!pair?.key.range) break;
    place = { from: pair.key.range[0], to: pair.key.range[1] };
    if (!nameOnly && isScalar(pair.value) && pair.value.range) place = { from: pair.value.range[0], to: pair.value.range[1] };
    if (place.from === place.to) place = { from: pair.key.range[0], to: pair.key.range[1] };
    at = pair.value;
  }
  return place;
}

/** Small numbers as people write them: 2e-5. */
function spelling(value: unknown): { format?: string } {
  return typeof value === 'number' && value !== 0 && Math.abs(value) < 1e-3 ? { format: 'EXP' } : { format: undefined };
}

function scalar(document: Document.Parsed, value: unknown): unknown {
  if (typeof value === 'object' && value !== null) {
    const node = document.createNode(value);
    // names in a row, rewards one under another
    if (Array.isArray(value)) (node as unknown as { flow: boolean }).flow = value.every((item) => typeof item !== 'object');
    return node;
  }
  return Object.assign(new Scalar(value), spelling(value));
}

function sortIn(map: YAMLMap, name: string, order: string[]): void {
  // a key just set is a plain string, one that was read is a node
  const names = map.items.map(({ key }) => String(isScalar(key) ? key.value : key));
  const index = names.indexOf(name);
  if (index !== names.length - 1 || !order.includes(name)) return;
  const later = names.findIndex((other) => order.indexOf(other) > order.indexOf(name));
  if (later >= 0 && later < index) map.items.splice(later, 0, ...map.items.splice(index, 1));
}

function write(document: Document): string {
  const text = document.toString({ lineWidth: 0, flowCollectionPadding: false });
  return text === '{}\n' ? '' : text;
}
