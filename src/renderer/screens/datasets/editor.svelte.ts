/**
 * One dataset being edited: the open view, the cell in focus, what is selected, and every command. The truth is in main: each change is one call, and the
 * table shows what main answers. The screen makes one Editor per dataset and closes it; components read its fields and call its methods.
 */
import { SvelteSet } from 'svelte/reactivity';
import type { EditCommand, EditHistory, EditorRow, EditResult, RowFilter, RowSet } from '../../../shared/api/datasets.ts';
import type { Split } from '../../../shared/dataset.ts';
import { attempt } from '../../state/prompts.svelte.ts';
import { api } from '../../state/workbench.svelte.ts';
import { type ColumnId, columnsOf, emptyExample, type RowKind } from './columns.ts';
import { RowPages } from './row-pages.svelte.ts';
import { Typing } from './typing.svelte.ts';

/** Rows of which the ids are asked at most: a selection by Shift. */
const LONGEST_RANGE = 1_000_000;

export class Editor {
  readonly dataset: string;
  pages = $state.raw<RowPages | null>(null);
  /** Rows of the dataset, whatever the filter. */
  total = $state(0);
  history = $state.raw<EditHistory>({ undo: null, redo: null });
  filter = $state.raw<RowFilter>({});
  opening = $state(true);
  error = $state<string | null>(null);
  columns = $state.raw<ColumnId[]>([]);
  /** Whether its rows have scores to show. */
  scored = $state(false);
  /** Row in the view, and column of `columns`. */
  row = $state(0);
  column = $state(0);
  /** Goes up when the table should bring the row in focus into sight. */
  jump = $state(0);
  readonly selected = new SvelteSet<number>();
  /** All rows of the view. */
  allSelected = $state(false);
  /** Where a selection by Shift began. */
  anchor = $state<number | null>(null);
  /** The open cell: the row's id, and whether its text is selected, at its end, or gone. */
  cell = $state.raw<{ id: number; row: number; column: ColumnId; begin: 'all' | 'end' | 'empty' } | null>(null);
  /** The last typing into each row. */
  readonly #typing = new Map<number, Typing>(); // eslint-disable-line svelte/prefer-svelte-reactivity -- nobody shows it
  #kind: RowKind = 'instruction';
  #number = 0;
  /** Goes up with everything main has said it changed for us: what was asked before that may be older than it. */
  #changes = 0;
  /** Commands of ours under way. */
  #busy = 0;
  /** Resolves when main has answered all that was asked so far: what is typed after a command goes to main after it. */
  #answered: Promise<unknown> = Promise.resolve();
  /** Rows of the dataset as the library told last, not looked at yet. */
  #told: number | null = null;
  #closed = false;

  constructor(dataset: string) {
    this.dataset = dataset;
  }

  get count(): number {
    return this.pages?.count ?? 0;
  }

  /** The row in focus; undefined while its page is on its way, and when there is none. */
  get current(): EditorRow | undefined {
    return this.pages?.at(this.row);
  }

  /** `kinds` of rows the dataset's files hold, the first for rows made here. */
  setKinds(kinds: RowKind[]): void {
    this.#kind = kinds[0] ?? 'instruction';
    const columns = columnsOf(kinds);
    if (columns.join() !== this.columns.join()) this.columns = columns;
  }

  /**
   * Shows the rows a filter lets through; `goTo` is the row to look at, else the eye stays where it is. What is on screen stays until the new rows are
   * here, and can be walked through meanwhile.
   */
  async open(filter: RowFilter, goTo?: number): Promise<void> {
    const number = ++this.#number;
    const same = JSON.stringify(filter) === JSON.stringify(this.filter);
    this.filter = filter;
    this.opening = true;
    const changes = this.#changes;
    try {
      const { view, count, total, history } = await api.datasets.openView({ dataset: this.dataset, filter });
      const pages = new RowPages(view, count, (message) => this.#lost(pages, message));
      const stays = same && goTo === undefined;
      let [eye, row, seen] = [this.row, 0, changes];
      let located: number | null = null;
      do {
        eye = this.row;
        const id = goTo ?? (stays ? this.current?.id : undefined);
        located = id === undefined || number !== this.#number ? null : await api.datasets.locate({ view, id });
        row = located ?? (same ? Math.min(eye, Math.max(0, count - 1)) : 0);
        if (count > 0 && number === this.#number) await pages.load(Math.max(0, row - 40), Math.min(count, row + 60));
        while (seen !== this.#changes && number === this.#number) {
          seen = this.#changes;
          await pages.refetch();
        }
      } while (stays && eye !== this.row && number === this.#number);
      if (number !== this.#number || this.#closed) return void api.datasets.closeView({ view }).catch(() => {});
      const old = this.pages;
      if (old) void api.datasets.closeView({ view: old.view }).catch(() => {});
      for (const [id, draft] of old?.drafts ?? []) pages.drafts.set(id, draft);
      this.pages = pages;
      this.total = total;
      if (changes === this.#changes) this.history = history;
      if (!same || count !== old?.count) {
        this.allSelected = false;
        this.anchor = null;
      }
      this.error = null;
      if (!old || row !== this.row || (goTo !== undefined && located !== null)) this.jump++;
      this.row = row;
    } catch (error) {
      if (number === this.#number) this.error = (error as Error).message;
    } finally {
      if (number === this.#number) {
        this.opening = false;
        void this.#catchUp();
      }
    }
  }

  close(): void {
    this.#closed = true;
    this.#number++;
    if (this.pages) void api.datasets.closeView({ view: this.pages.view }).catch(() => {});
  }

  /** Datasets changed, here or elsewhere; `total` is what the library says now. */
  follow(total: number): void {
    this.#told = total;
    void this.#catchUp();
  }

  /** Looks at what the library told, unless something of ours is under way: whatever that is looks when it is done. */
  async #catchUp(): Promise<void> {
    const [pages, told] = [this.pages, this.#told];
    if (!pages || told === null || this.opening || this.#busy > 0 || this.#closed) return;
    this.#told = null;
    const others = told !== this.total || (await pages.refetch());
    if (!others || pages !== this.pages || this.opening) return;
    // what changed meanwhile may be ours
    if (this.#busy > 0) this.#told ??= told;
    else await this.open(this.filter);
  }

  /** Main no longer has the view (it was started anew), or rows of it went away elsewhere. */
  #lost(pages: RowPages, message: string): void {
    if (pages !== this.pages || this.#closed || this.opening) return;
    if (message) this.error = message;
    void this.open(this.filter);
  }

  // --- what is in focus and selected

  focus(row: number, column = this.column): void {
    this.row = Math.max(0, Math.min(row, this.count - 1));
    this.column = Math.max(0, Math.min(column, this.columns.length - 1));
    this.jump++;
  }

  isSelected(row: EditorRow): boolean {
    return this.allSelected || this.selected.has(row.id);
  }

  selectedCount(): number {
    return this.allSelected ? this.count : this.selected.size;
  }

  clearSelection(): void {
    this.selected.clear();
    this.allSelected = false;
    this.anchor = null;
  }

  toggle(index: number): void {
    const row = this.pages?.at(index);
    if (!row || this.allSelected) return this.clearSelection();
    if (!this.selected.delete(row.id)) this.selected.add(row.id);
    this.anchor = index;
  }

  selectAll(): void {
    this.selected.clear();
    this.allSelected = this.count > 0;
  }

  /** From where the selection began to here, in place of what was selected. */
  async selectTo(index: number): Promise<void> {
    const pages = this.pages;
    if (!pages) return;
    this.anchor ??= this.row;
    const [from, to] = [Math.min(this.anchor, index), Math.max(this.anchor, index)];
    this.focus(index);
    if (to - from + 1 === this.count) return this.selectAll();
    const near = Array.from({ length: Math.min(to - from + 1, 1000) }, (_, i) => pages.at(from + i)?.id);
    const known = to - from < 1000 && near.every((id) => id !== undefined);
    const ids = known ? near : await attempt(() => api.datasets.ids({ view: pages.view, from, count: Math.min(to - from + 1, LONGEST_RANGE) }));
    if (!ids || pages !== this.pages) return;
    this.allSelected = false;
    this.selected.clear();
    for (const id of ids) this.selected.add(id!);
  }

  /** What a command is about: the selection, else the row in focus; null when there is none. */
  target(): RowSet | null {
    if (this.allSelected && this.pages) return { view: this.pages.view };
    if (this.selected.size > 0) return { ids: [...this.selected] };
    return this.current ? { ids: [this.current.id] } : null;
  }

  targetCount(): number {
    return this.selectedCount() || (this.current ? 1 : 0);
  }

  // --- commands

  async edit(command: EditCommand): Promise<EditResult | undefined> {
    const work = (): Promise<EditResult> => api.datasets.edit({ dataset: this.dataset, command });
    return (await this.#command(work, command.type === 'insert' || command.type === 'duplicate')) ?? undefined;
  }

  async undo(): Promise<void> {
    await this.#command(() => api.datasets.undo({ dataset: this.dataset }), true);
  }

  async redo(): Promise<void> {
    await this.#command(() => api.datasets.redo({ dataset: this.dataset }), true);
  }

  /** `look`: the eye goes where it happened. */
  async #command(work: () => Promise<EditResult | null>, look: boolean): Promise<EditResult | null | undefined> {
    this.#busy++;
    const answer = this.#typed().then(() => attempt(work));
    this.#answered = Promise.all([this.#answered, answer]);
    try {
      const result = await answer;
      if (result) await this.#settle(result, look);
      return result;
    } finally {
      this.#busy--;
      void this.#catchUp();
    }
  }

  /** After an edit: the rows as they are now, and the eye where it happened. */
  async #settle({ history, ids, reordered }: EditResult, look: boolean): Promise<void> {
    this.#changed(history);
    if (reordered) return this.open(this.filter, look ? ids[0] : undefined);
    await this.pages?.refetch();
    const pages = this.pages;
    if (!look || !pages || ids.length === 0 || ids.includes(this.current?.id ?? -1)) return;
    const row = await attempt(() => api.datasets.locate({ view: pages.view, id: ids[0] }));
    if (typeof row === 'number' && pages === this.pages) this.focus(row);
  }

  #changed(history: EditHistory): void {
    this.#changes++;
    this.history = history;
  }

  /** A new row after the one in focus; its id, which a filter may hide. */
  async add(): Promise<number | undefined> {
    const split: Split = this.filter.split ?? this.current?.split ?? 'train';
    const result = await this.edit({ type: 'insert', after: this.current?.id ?? null, split, example: emptyExample(this.#kind) });
    this.clearSelection();
    return result?.ids[0];
  }

  async remove(): Promise<number> {
    const rows = this.target();
    const count = this.targetCount();
    if (!rows || !(await this.edit({ type: 'delete', rows }))) return 0;
    this.clearSelection();
    return count;
  }

  /** Typing into one row begins; what main has not yet of the typing before it goes first. */
  type(row: EditorRow): Typing {
    const isLast = (): boolean => this.#typing.get(row.id) === typing;
    const typing: Typing = new Typing(
      row.id,
      row.example,
      {
        dataset: this.dataset,
        show: (id, draft) => {
          if (draft) this.pages?.drafts.set(id, draft);
          else if (isLast()) this.pages?.drafts.delete(id);
        },
        saved: (id, example, history) => {
          this.#changed(history);
          this.pages?.patch(id, (row) => ({ ...row, example, edited: true }));
        },
      },
      Promise.all([this.#typing.get(row.id)?.arrived(), this.#answered]),
    );
    this.#typing.set(row.id, typing);
    return typing;
  }

  /** Resolves when main has what was typed: a command is about rows as they are seen. */
  async #typed(): Promise<void> {
    await Promise.all([...this.#typing.values()].map((typing) => typing.arrived()));
  }
}
