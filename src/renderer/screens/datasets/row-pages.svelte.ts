/**
 * The rows of one view as the table reads them: pages asked of main when they come into sight, the next ones in the direction of scrolling
 * ahead, the longest unseen forgotten. Only a few askings are under way at once, and always for what is in sight now: rows flown past are never asked for.
 */
import { SvelteMap } from 'svelte/reactivity';
import type { EditorRow } from '../../../shared/api/datasets.ts';
import type { Example } from '../../../shared/dataset.ts';
import { api } from '../../state/workbench.svelte.ts';

/** Rows asked for at once. */
const PAGE = 100;
const KEPT = 60;
const AT_ONCE = 2;
const AHEAD = 2;

export class RowPages {
  readonly view: number;
  readonly count: number;
  /** Texts being typed, shown before main has them. */
  readonly drafts = new SvelteMap<number, Example>();
  /** Goes up when a page comes or changes; `at` depends on it. */
  #version = $state(0);
  // plain collections: #version tells of the pages, nobody shows the rest
  /* eslint-disable svelte/prefer-svelte-reactivity */
  /** In order of last use. */
  readonly #pages = new Map<number, EditorRow[]>();
  readonly #stale = new Set<number>();
  readonly #underWay = new Set<number>();
  /** Rows that were typed into here. */
  readonly #typed = new Set<number>();
  /* eslint-enable svelte/prefer-svelte-reactivity */
  #patches = 0;
  #wanted: number[] = [];
  #last = { first: 0, end: 0 };
  readonly #onLost: (message: string) => void;

  /** `onLost` hears when main no longer gives rows of the view. */
  constructor(view: number, count: number, onLost: (message: string) => void) {
    this.view = view;
    this.count = count;
    this.#onLost = onLost;
  }

  /** Undefined while its page is on its way. */
  at(index: number): EditorRow | undefined {
    void this.#version;
    const row = this.#row(index);
    const draft = row && this.drafts.get(row.id);
    return draft ? { ...row, example: draft, edited: true } : row;
  }

  #row(index: number): EditorRow | undefined {
    return this.#pages.get(Math.floor(index / PAGE))?.[index % PAGE];
  }

  /** Says what is in sight; called with every scroll. */
  want(first: number, end: number): void {
    const down = first >= this.#last.first;
    this.#last = { first, end };
    const [from, to] = [Math.floor(first / PAGE), Math.floor(Math.max(first, end - 1) / PAGE)];
    const pages = Array.from({ length: to - from + 1 }, (_, i) => from + i);
    const ahead = Array.from({ length: AHEAD }, (_, i) => (down ? to + 1 + i : from - 1 - i));
    for (const page of pages) this.#touch(page);
    this.#wanted = [...pages, ...ahead].filter((page) => page >= 0 && page * PAGE < this.count && (!this.#pages.has(page) || this.#stale.has(page)));
    this.#work();
  }

  /** Resolves when the rows are here, or cannot be had. */
  async load(first: number, end: number): Promise<void> {
    this.#last = { first, end };
    const from = Math.max(0, Math.floor(first / PAGE));
    const to = Math.floor(Math.min(this.count - 1, Math.max(first, end - 1)) / PAGE);
    for (let page = from; page <= to; page++) await this.#fetch(page);
  }

  /**
   * Something changed: what is in sight is asked again and stays meanwhile, the rest when it comes into sight. Whether a row in sight is another than
   * before, those typed into here left aside.
   */
  async refetch(): Promise<boolean> {
    const { first, end } = this.#last;
    const inSight = (): (EditorRow | undefined)[] => Array.from({ length: end - first }, (_, i) => this.#row(first + i));
    const before = inSight();
    for (const page of this.#pages.keys()) this.#stale.add(page);
    await this.load(first, end);
    const after = inSight();
    return before.some((row, i) => row && !this.#typed.has(row.id) && !this.drafts.has(row.id) && JSON.stringify(row) !== JSON.stringify(after[i]));
  }

  /** A row of which main has said that it is so now. Rows under way may have been read before it: they are asked again. */
  patch(id: number, change: (row: EditorRow) => EditorRow): void {
    this.#patches++;
    this.#typed.add(id);
    for (const rows of this.#pages.values()) {
      const index = rows.findIndex((row) => row.id === id);
      if (index < 0) continue;
      rows[index] = change(rows[index]);
      this.#version++;
      return;
    }
  }

  #touch(page: number): void {
    const rows = this.#pages.get(page);
    if (!rows) return;
    this.#pages.delete(page);
    this.#pages.set(page, rows);
  }

  #work(): void {
    while (this.#underWay.size < AT_ONCE) {
      const next = this.#wanted.find((page) => !this.#underWay.has(page));
      if (next === undefined) return;
      this.#wanted = this.#wanted.filter((page) => page !== next);
      void this.#fetch(next).then(() => this.#work());
    }
  }

  async #fetch(page: number): Promise<void> {
    this.#underWay.add(page);
    this.#stale.delete(page);
    try {
      let rows: EditorRow[];
      let patches: number;
      do {
        patches = this.#patches;
        rows = await api.datasets.rows({ view: this.view, from: page * PAGE, count: PAGE });
      } while (patches !== this.#patches);
      this.#pages.delete(page);
      this.#pages.set(page, rows);
      for (const old of this.#pages.keys()) {
        if (this.#pages.size <= KEPT) break;
        this.#pages.delete(old);
      }
      this.#version++;
      if (rows.length < Math.min(PAGE, this.count - page * PAGE)) this.#onLost('');
    } catch (error) {
      this.#onLost((error as Error).message);
    } finally {
      this.#underWay.delete(page);
    }
  }
}
