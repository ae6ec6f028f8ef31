/**
 * The workbench without a window: the open library and everything that lives as long as the process that serves it. Both shells
 * (desktop.ts, host.ts) and the tests open one and give it to router.ts. It does nothing itself.
 */
import type { About } from '../shared/api/workbench.ts';
import { type Changes, createChanges } from './changes.ts';
import { createLiveDatasets, type LiveDatasets } from './datasets/live.ts';
import { createVocabularies, type Vocabularies } from './inspection/vocabulary.ts';
import { closeLibrary, type Library, openLibrary } from './library.ts';
import { createMethodReports, type MethodReports } from './method-reports/live.ts';
import { createPlayground, type Playground } from './playground/live.ts';
import { createEstimator, type Estimator } from './runs/estimate.ts';
import { createServing, type LiveServing } from './serving/live.ts';
import { createQuickstart, type Quickstart } from './quickstart/live.ts';
import { createRunQueue, type RunQueue } from './runs/live.ts';
import { createTasks, type Tasks } from './tasks.ts';

/** What the shell can do that main cannot. */
export type Shell = {
  kind: About['shell']['kind'];
  /** The system's file dialog, where the shell has one; null when cancelled. */
  choose: ((options: { kind: 'file' | 'folder' | 'save'; title: string; defaultName?: string; extensions?: string[] }) => Promise<string | null>) | null;
  reveal: ((path: string) => void) | null;
  /** One HTML page as PDF, where the shell can print. */
  printPdf: ((html: string) => Promise<Uint8Array>) | null;
};

export type Workbench = {
  library: Library;
  shell: Shell;
  changes: Changes;
  tasks: Tasks;
  datasets: LiveDatasets;
  runs: RunQueue;
  estimator: Estimator;
  playground: Playground;
  quickstart: Quickstart;
  methodReports: MethodReports;
  serving: LiveServing;
  vocabularies: Vocabularies;
  /** Stops what runs, keeping what was learned, and closes the library. */
  close(): Promise<void>;
};

/** `examples`: a library that is new gets the embedded data and a finished run to look at. */
export function openWorkbench(shell: Shell, folder?: string, { examples = false } = {}): Workbench {
  const library = openLibrary(folder);
  const changes = createChanges(library);
  const tasks = createTasks();
  const datasets = createLiveDatasets(library, tasks);
  const runs = createRunQueue(library, changes);
  const estimator = createEstimator(library, changes);
  const playground = createPlayground(library, changes);
  const quickstart = createQuickstart({ library, changes, runs, playground });
  const methodReports = createMethodReports({ library, changes, runs });
  const serving = createServing(library);
  const vocabularies = createVocabularies();
  if (examples) void quickstart.seed();
  return {
    library,
    shell,
    changes,
    tasks,
    datasets,
    runs,
    estimator,
    playground,
    quickstart,
    methodReports,
    serving,
    vocabularies,
    async close() {
      await Promise.all([quickstart.close(), methodReports.close(), tasks.close(), runs.close(), serving.close()]);
      await playground.close();
      await datasets.close();
      estimator.close();
      changes.close();
      closeLibrary(library);
    },
  };
}
