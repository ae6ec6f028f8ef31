/**
 * The curves of other runs laid over the one on screen, asked for once each; those of a run that still trains are asked for again now and
 * then.
 */
import { onDestroy } from 'svelte';
import type { RunSummary } from '../../../shared/api/runs.ts';
import { CurveTable } from '../../components/chart/curve-table.ts';
import { attempt } from '../../state/prompts.svelte.ts';
import { api } from '../../state/workbench.svelte.ts';

/** As many as there are colours beside the run's own. */
export const MOST_OVERLAYS = 5;
const AGAIN = 5000;

export type Overlay = { id: number; name: string; table: CurveTable };

export class Overlays {
  version = $state(0);
  // plain on purpose: `version` says when they change
  #tables: Record<number, CurveTable> = {};
  #asking: Record<number, boolean> = {};
  readonly #runs: () => RunSummary[];
  readonly #ids: () => number[];

  /** `ids`: which are wanted. */
  constructor(ids: () => number[], runs: () => RunSummary[]) {
    this.#ids = ids;
    this.#runs = runs;
    $effect(() => {
      for (const id of ids()) if (!(id in this.#tables)) void this.#ask(id);
    });
    const timer = setInterval(() => {
      for (const id of ids()) if (runs().some((run) => run.id === id && run.status === 'running')) void this.#ask(id);
    }, AGAIN);
    onDestroy(() => clearInterval(timer));
  }

  /** Names of those wanted that exist, as one text: it stays the same while the list is only told anew. */
  readonly #named = $derived.by(() => {
    const named = this.#ids().flatMap((id) => this.#runs().filter((run) => run.id === id));
    return JSON.stringify(named.map(({ id, name }) => ({ id, name })));
  });
  /** Those wanted whose curves have come. */
  readonly shown = $derived.by((): Overlay[] => {
    void this.version;
    const named = JSON.parse(this.#named) as { id: number; name: string }[];
    return named.filter(({ id }) => id in this.#tables).map(({ id, name }) => ({ id, name, table: this.#tables[id] }));
  });

  async #ask(id: number): Promise<void> {
    if (this.#asking[id]) return;
    this.#asking[id] = true;
    const curves = await attempt(() => api.runs.curves({ id }));
    this.#asking[id] = false;
    if (!curves) return;
    const table = new CurveTable();
    table.append(curves);
    this.#tables[id] = table;
    this.version++;
  }
}
