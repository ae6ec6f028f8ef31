/** The entries of a vocabulary that a search lets through, fetched by pages as they come into sight. A new search begins anew; an old one's answer is dropped. */
import type { VocabularyPage } from '../../../shared/api/inspection.ts';
import type { TokenKind, VocabularyEntry } from '../../../shared/inspection.ts';
import { api } from '../../state/workbench.svelte.ts';

const PAGE = 200;

export class VocabularyPages {
  /** Of the last answer; null before the first. */
  about = $state.raw<Omit<VocabularyPage, 'entries'> | null>(null);
  error = $state<string | null>(null);
  #pages = $state.raw<Readonly<Record<number, VocabularyEntry[]>>>({});
  readonly #model: string;
  #search: { query: string; kind: TokenKind | null } = { query: '', kind: null };
  #number = 0;
  #asked: number[] = [];

  constructor(model: string) {
    this.#model = model;
  }

  /** What was found before stays in sight until the first page of this is there. */
  search(query: string, kind: TokenKind | null): void {
    this.#search = { query, kind };
    this.#number++;
    this.#asked = [];
    void this.#fetch(0, true);
  }

  /** undefined while it is on its way. */
  at(row: number): VocabularyEntry | undefined {
    return this.#pages[Math.floor(row / PAGE)]?.[row % PAGE];
  }

  want(first: number, end: number): void {
    for (let page = Math.floor(first / PAGE); page * PAGE < end; page++) void this.#fetch(page, false);
  }

  async #fetch(page: number, fresh: boolean): Promise<void> {
    if (this.#asked.includes(page)) return;
    this.#asked.push(page);
    const number = this.#number;
    try {
      const { entries, ...about } = await api.inspection.vocabulary({ model: this.#model, ...this.#search, offset: page * PAGE, count: PAGE });
      if (number !== this.#number) return;
      this.about = about;
      this.error = null;
      this.#pages = { ...(fresh ? {} : this.#pages), [page]: entries };
    } catch (error) {
      if (number !== this.#number) return;
      this.#asked = this.#asked.filter((each) => each !== page);
      this.error = (error as Error).message;
    }
  }
}
