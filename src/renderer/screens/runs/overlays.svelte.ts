/** The curves of other runs laid over the one on screen, asked for once each; those of a run that still trains are asked for again now and then. */
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

  /** Those wanted whose curves have come. */
  get shown(): Overlay[] {
    void this.version;
    return this.#ids().flatMap((id) => {
      const table = this.#tables[id];
      const run = this.#runs().find((run) => run.id === id);
      return table && run ? [{ id, name: run.name, table }] : [];
    });
  }

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
