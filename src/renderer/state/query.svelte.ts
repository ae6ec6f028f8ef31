/**
 * A question to main that is asked again when its topic changes: what a screen shows is what the library holds, whoever changed it.
 * Make it in a component's script; it ends with the component.
 */
import { onDestroy } from 'svelte';
import type { Topic } from '../../shared/api/workbench.ts';
import { onChange } from './workbench.svelte.ts';

export class Query<T> {
  /** Undefined until the first answer; the last one stays while the next is on its way. */
  data = $state.raw<T | undefined>(undefined);
  /** One sentence, when the last asking failed. */
  error = $state<string | null>(null);
  loading = $state(true);
  readonly #ask: () => Promise<T>;
  #number = 0;

  constructor(ask: () => Promise<T>, topics: Topic[]) {
    this.#ask = ask;
    void this.refresh();
    onDestroy(onChange((changed) => {
      if (changed.some((topic) => topics.includes(topic))) void this.refresh();
    }));
  }

  /** Asks now. The answer of an older asking never overtakes a newer one. */
  async refresh(): Promise<void> {
    const number = ++this.#number;
    try {
      const data = await this.#ask();
      if (number !== this.#number) return;
      this.data = data;
      this.error = null;
    } catch (error) {
      if (number !== this.#number) return;
      this.error = (error as Error).message;
    } finally {
      if (number === this.#number) this.loading = false;
    }
  }
}
