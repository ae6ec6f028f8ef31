/**
 * What the recipe would take, asked of main a moment after the last change. The last answer stays while the next is on its way, and while the
 * recipe cannot be read; an older answer never overtakes a newer one. Make it in a component's script.
 */
import { onDestroy } from 'svelte';
import type { Estimate } from '../../../shared/api/runs.ts';
import type { Recipe } from '../../../shared/recipe.ts';
import { api, onChange } from '../../state/workbench.svelte.ts';

/** After the last change, ms. */
const ASK_AFTER = 300;

export class Estimating {
  estimate = $state.raw<Estimate | null>(null);
  /** Main's sentence, when it cannot say: no such model, rows of the wrong kind. */
  error = $state<string | null>(null);
  asking = $state(false);
  #number = 0;
  #asked = '';

  constructor(recipe: () => Recipe | null) {
    let timer: ReturnType<typeof setTimeout> | undefined;
    $effect(() => {
      const wanted = recipe();
      clearTimeout(timer);
      if (!wanted) {
        this.#number++;
        this.#asked = '';
        this.asking = false;
        this.error = null;
        return;
      }
      // the name of a run costs nothing
      const key = JSON.stringify({ ...wanted, name: undefined });
      if (key === this.#asked) return;
      this.asking = true;
      timer = setTimeout(() => void this.#ask(wanted, key), ASK_AFTER);
    });
    const stop = onChange((topics) => {
      const wanted = recipe();
      if (wanted && topics.some((topic) => topic === 'models' || topic === 'datasets')) void this.#ask(wanted, this.#asked);
    });
    onDestroy(() => {
      stop();
      clearTimeout(timer);
      this.#number++;
    });
  }

  async #ask(recipe: Recipe, key: string): Promise<void> {
    const number = ++this.#number;
    this.#asked = key;
    this.asking = true;
    try {
      const estimate = await api.training.estimate({ recipe });
      if (number !== this.#number) return;
      this.estimate = estimate;
      this.error = null;
    } catch (error) {
      if (number !== this.#number) return;
      this.error = (error as Error).message;
    }
    this.asking = false;
  }
}
