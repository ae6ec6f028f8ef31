/**
 * A row while somebody types into it. What is typed goes to main as it is typed: at once with a key, or, while main has not yet answered for the
 * one before, as soon as it has. Each update goes on with the one before, so that a window that dies loses nothing and one undo takes the whole
 * typing back. Escape sends the row as it was before.
 */
import type { EditHistory } from '../../../shared/api/datasets.ts';
import type { Example } from '../../../shared/dataset.ts';
import { notify } from '../../state/prompts.svelte.ts';
import { api } from '../../state/workbench.svelte.ts';

/** After main did not take it, ms. */
const RETRY = 500;
/** Refusals until it is given up: another process that edits the dataset is soon done, a row that is gone stays so. */
const REFUSALS = 8;

export type TypingHost = {
  dataset: string;
  /** Shows the row so, until main has it; null: it has. */
  show: (id: number, draft: Example | null) => void;
  saved: (id: number, example: Example, history: EditHistory) => void;
};

export class Typing {
  readonly id: number;
  readonly before: Example;
  now: Example;
  readonly #host: TypingHost;
  readonly #previous: Promise<unknown>;
  #sent: Example;
  #first = true;
  #ended = false;
  #sending: Promise<void> | null = null;

  /** `previous`: resolves when main has what was typed into the row before, and was asked of it. */
  constructor(id: number, example: Example, host: TypingHost, previous: Promise<unknown>) {
    this.id = id;
    this.before = this.now = this.#sent = example;
    this.#host = host;
    this.#previous = previous;
  }

  change(example: Example): void {
    if (this.#ended || same(example, this.now)) return;
    this.now = example;
    this.#host.show(this.id, example);
    this.#sending ??= this.#send();
  }

  /** Resolves when main has all of it. */
  async end(): Promise<void> {
    this.#ended = true;
    await this.arrived();
  }

  /** Resolves when main has all of what was typed so far. */
  async arrived(): Promise<void> {
    await this.#previous;
    await this.#sending;
  }

  async cancel(): Promise<void> {
    this.change(this.before);
    await this.end();
  }

  async #send(): Promise<void> {
    await this.#previous;
    let refused = 0;
    while (!same(this.now, this.#sent)) {
      const example = this.now;
      try {
        const { history } = await api.datasets.edit({ dataset: this.#host.dataset, command: { type: 'update', id: this.id, example, merge: !this.#first } });
        this.#first = false;
        this.#sent = example;
        this.#host.saved(this.id, example, history);
      } catch (error) {
        const code = (error as { code?: string }).code;
        if ((code === 'BAD_REQUEST' || code === 'NOT_FOUND') && ++refused === REFUSALS) {
          notify('bad', (error as Error).message);
          break;
        }
        // where main was away the text stays here, and goes when it is back
        await new Promise((resolve) => setTimeout(resolve, RETRY));
      }
    }
    this.#sending = null;
    this.#host.show(this.id, null);
  }
}

function same(a: Example, b: Example): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
