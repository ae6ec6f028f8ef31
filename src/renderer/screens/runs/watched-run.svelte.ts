/**
 * One run as its stream tells it, steps gathered. Curves stand in plain columns outside Svelte's reactivity; `version` grows when there are
 * new points. Every drawing is time that training does not have: what is told together is shown together. Make it in a component's script; it ends with the component.
 */
import { onDestroy } from 'svelte';
import type { LogLine, RunDetail, RunEvent, RunProgress, SampleCompletion } from '../../../shared/api/runs.ts';
import { CurveTable } from '../../components/chart/curve-table.ts';
import { api, stream } from '../../state/workbench.svelte.ts';

/** Points, run and progress of one look come shortly after each other, ms. */
const GATHER = 60;
/** Lines of the log kept on screen. */
const LOG_LINES = 2000;

export class WatchedRun {
  run = $state.raw<RunDetail | null>(null);
  progress = $state.raw<RunProgress | null>(null);
  samples = $state.raw<SampleCompletion[]>([]);
  log = $state.raw<LogLine[]>([]);
  /** Of the curves in `table`. */
  version = $state(0);
  /** Names of the metrics, in the order they first came; a new array only when one is new. */
  metrics = $state.raw<string[]>([]);
  /** One sentence: the run is gone, or cannot be read. */
  error = $state<string | null>(null);
  readonly table = new CurveTable();
  readonly id: number;
  readonly stop: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #run: RunDetail | null = null;
  #progress: RunProgress | null = null;

  constructor(id: number) {
    this.id = id;
    this.stop = stream((signal) => api.runs.watch({ id }, { signal }), (event) => this.#take(event), (message) => (this.error = message));
    onDestroy(() => {
      this.stop();
      clearTimeout(this.#timer);
    });
  }

  #take(event: RunEvent): void {
    switch (event.type) {
      case 'snapshot':
        this.table.clear();
        this.table.append(event.curves);
        this.#run = event.run;
        this.#progress = event.progress;
        this.samples = event.samples;
        this.log = event.log.slice(-LOG_LINES);
        this.error = null;
        return this.#publish();
      case 'points':
        this.table.append(event.curves);
        return this.#publishSoon();
      case 'run':
        this.#run = event.run;
        if (event.run.status !== 'running' && event.run.status !== 'paused') this.#progress = null;
        // what a run becomes is shown at once
        return event.run.status === this.run?.status ? this.#publishSoon() : this.#publish();
      case 'progress':
        this.#progress = event.progress;
        return this.#publishSoon();
      case 'samples':
        this.samples = [...this.samples, ...event.samples];
        return;
      case 'log':
        this.log = [...this.log, ...event.lines].slice(-LOG_LINES);
        return;
    }
  }

  #publishSoon(): void {
    this.#timer ??= setTimeout(() => this.#publish(), GATHER);
  }

  #publish(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.run = this.#run;
    this.progress = this.#progress;
    this.version++;
    const { metrics } = this.table;
    if (metrics.join() !== this.metrics.join()) this.metrics = metrics;
  }
}
