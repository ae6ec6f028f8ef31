/**
 * The recipe being written. Its text is the truth (recipe-text.ts): the form and the YAML view both edit it. Main keeps it as a setting, saved a
 * moment after the last change, so that a reload or another window finds it. It starts nothing and asks for no estimate.
 */
import { onDestroy } from 'svelte';
import type { DatasetSummary } from '../../../shared/api/datasets.ts';
import type { RecipeChange } from '../../../shared/fitting.ts';
import { fitsMethod } from '../../../shared/recipe.ts';
import { saveSettings, workbench } from '../../state/workbench.svelte.ts';
import { fieldsOf, type Field, type Method } from './fields.ts';
import { checkRecipe } from './recipe-check.ts';
import { addItem, moveItem, readText, removeItem, same, setField, topLevel, unsetField, valueAt } from './recipe-text.ts';

/** Between the last change and the saving of it, ms. */
const SAVE_AFTER = 400;
const EMPTY = 'method: sft\n';

export class Draft {
  text = $state(EMPTY);
  readonly checked = $derived(checkRecipe(this.text));
  readonly fields = $derived(fieldsOf(this.checked.method));
  /** What a method has that another does not know, kept for when one switches back. */
  readonly #aside: Partial<Record<Method, { path: string[]; value: unknown }[]>> = {};
  #saved = EMPTY;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    if (workbench.settings?.trainDraft) this.#saved = this.text = workbench.settings.trainDraft;
    const leave = (): void => void this.#save();
    window.addEventListener('pagehide', leave);
    onDestroy(() => {
      window.removeEventListener('pagehide', leave);
      leave();
    });
  }

  replace(text: string): void {
    this.text = text;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#save(), SAVE_AFTER);
  }

  value(field: Field): unknown {
    return valueAt(this.checked.value, field.path);
  }

  set(path: string[], value: unknown): void {
    this.replace(setField(this.text, path, value, topLevel(this.fields)));
  }

  take(changes: RecipeChange[]): void {
    for (const { path, value } of changes) this.set(path, value);
  }

  unset(path: string[]): void {
    this.replace(unsetField(this.text, path));
  }

  add(path: string[], item: unknown): void {
    this.replace(addItem(this.text, path, item, topLevel(this.fields)));
  }

  move(path: string[], from: number, to: number): void {
    this.replace(moveItem(this.text, path, from, to));
  }

  /** An item of a list; the last one takes the list with it. */
  remove(path: string[], index: number): void {
    const items = valueAt(this.checked.value, path) as unknown[];
    this.replace(items.length === 1 ? unsetField(this.text, path) : removeItem(this.text, path, index));
  }

  /** Makes fields of another sort of what stands at a path: what that sort does not know goes, in one change. */
  changeSort(path: string[], type: string, known: string[]): void {
    const order = topLevel(this.fields);
    const given = valueAt(this.checked.value, path);
    const before = typeof given === 'object' && given !== null ? Object.keys(given) : [];
    const text = before.length === 0 ? setField(this.text, path, { type }, order) : setField(this.text, [...path, 'type'], type, order);
    this.replace(before.filter((name) => name !== 'type' && !known.includes(name)).reduce((text, name) => unsetField(text, [...path, name]), text));
  }

  /** A default is not written out: what a recipe says is what somebody decided. */
  change(field: Field, value: unknown): void {
    if (value === undefined || (same(value, field.standard) && field.kind !== 'group')) this.unset(field.path);
    else this.set(field.path, value);
  }

  /** Whether the text gives it another value than it would have anyway. */
  changed(field: Field): boolean {
    const value = this.value(field);
    return value !== undefined && !same(value, field.standard);
  }

  /** Keeps everything the new method knows; the rest is laid aside, and so is a dataset of the wrong kind. */
  setMethod(method: Method, datasets: DatasetSummary[]): void {
    const before = this.checked.method;
    if (method === before) return;
    const given = this.checked.value ?? {};
    const dataset = datasets.find(({ name }) => name === given.dataset);
    const known = topLevel(fieldsOf(method));
    const leaving = Object.keys(given).filter((name) => name !== 'method' && (!known.includes(name) || (name === 'dataset' && dataset && !fits(dataset, method))));
    this.#aside[before] = leaving.map((name) => ({ path: [name], value: given[name] }));
    let text = leaving.reduce((text, name) => unsetField(text, [name]), this.text);
    const order = topLevel(fieldsOf(method));
    text = setField(text, ['method'], method, order);
    for (const { path, value } of this.#aside[method] ?? []) {
      if (valueAt(readText(text).value, path) === undefined) text = setField(text, path, value, order);
    }
    this.replace(text);
  }

  reset(): void {
    this.replace(`method: ${this.checked.method}\n`);
  }

  async #save(): Promise<void> {
    clearTimeout(this.#timer);
    if (this.text === this.#saved) return;
    this.#saved = this.text;
    await saveSettings({ trainDraft: this.text });
  }
}

/** Whether the method trains on rows as the dataset has them. */
export const fits = ({ kind }: DatasetSummary, method: Method): boolean => fitsMethod(kind, method);
