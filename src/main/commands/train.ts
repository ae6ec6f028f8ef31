/** `attune train`, `resume` and `runs`: runs started, followed to their end, and looked at afterwards. */
import type { Command } from 'commander';
import { dirname, resolve } from 'node:path';
import type { Library } from '../library.ts';
import { createRun, findRun, listRuns, readMetrics, resumeRun, type Run, startRun, type TrainingRun } from '../runs/index.ts';
import { readRecipe } from '../runs/recipe-file.ts';
import { deleteRun } from '../runs/upkeep.ts';
import { formatBytes, print, printJson, table, tell } from '../terminal.ts';
import { addMachineOptions, type MachineOptions } from './options.ts';
import { describeChange, mayHaveLackedMemory, memoryReached } from '../../shared/fitting.ts';
import { createChanges } from '../changes.ts';
import { createEstimator } from '../runs/estimate.ts';
import { createProgress } from './progress.ts';
import { recipeHelp } from './recipe-help.ts';
import { withLibrary } from './with-library.ts';

export function addTrainCommands(program: Command): void {
  const train = program
    .command('train')
    .description('train a model by a recipe')
    .argument('<recipe>', 'YAML or JSON file')
    .option('--json-lines', 'every event as a line of JSON on stdout')
    .addHelpText('after', () => `
Ctrl-C stops after the step under way and keeps what was learned; a second one ends at once. attune resume goes on in both cases.
Models, datasets and files are looked for in the library, then beside the recipe, then in the working folder.

A recipe:
  method: sft
  model: attune-base
  dataset: my-instructions
  maxLength: 256
  optimizer:
    learningRate: 5.0e-4

${recipeHelp()}

Examples:
  attune train sft.yaml
  attune train dpo.yaml --threads 4 --json-lines > events.jsonl`);
  addMachineOptions(train).action((recipe: string, options: TrainFlags) =>
    withLibrary((library) => {
      const run = createRun(library, readRecipe(recipe), [dirname(resolve(recipe)), process.cwd()]);
      return follow(library, startRun(library, run, options), options);
    }),
  );

  const resume = program
    .command('resume')
    .description('go on with a run that was stopped, interrupted or failed')
    .argument('<run>', 'name or number')
    .option('--json-lines', 'every event as a line of JSON on stdout')
    .addHelpText('after', `
It goes on from the run's newest whole checkpoint and ends with the same weights, bit for bit, as if it had never been interrupted.

Example:
  attune resume attune-base-sft`);
  addMachineOptions(resume).action((name: string, options: TrainFlags) =>
    withLibrary((library) => follow(library, resumeRun(library, findRun(library, name), options), options)),
  );

  program
    .command('runs')
    .description('list runs, or tell about one: recipe, checkpoints, metrics')
    .argument('[run]', 'name or number')
    .option('--metrics', 'every logged metric of the run')
    .option('--delete <run>', 'delete a run with its checkpoints')
    .option('--json', 'as JSON')
    .action((name: string | undefined, options: { metrics?: boolean; delete?: string; json?: boolean }) =>
      withLibrary((library) => {
        if (options.delete !== undefined) return deleteRun(library, findRun(library, options.delete));
        else if (name !== undefined) tellRun(library, findRun(library, name), options);
        else if (options.json) printJson(listRuns(library));
        else tellRuns(library);
      }),
    );
}

type TrainFlags = MachineOptions & { jsonLines?: boolean };

/** Drives a run to its end, telling of it as it goes. Sets exit code 130 when a person stopped it. */
async function follow(library: Library, training: TrainingRun, { jsonLines = false }: TrainFlags): Promise<void> {
  const progress = createProgress();
  const line = (value: unknown): void => print(JSON.stringify(value));
  let asked = 0;
  const onInterrupt = (): void => {
    asked++;
    progress.note(asked === 1 ? `stopping after this step and keeping ${training.name}; press Ctrl-C again to end at once` : 'ending at once');
    if (asked === 1) training.stop();
    else training.kill();
  };
  process.on('SIGINT', onInterrupt);
  process.on('SIGTERM', onInterrupt);
  try {
    if (jsonLines) line({ type: 'run', run: training.id, name: training.name });
    else progress.note(`run ${training.id}: ${training.name}`);
    for await (const event of training.events) {
      if (jsonLines && event.type !== 'done') line(event);
      progress.show(event);
    }
  } catch (error) {
    if (asked < 2) {
      progress.end();
      if (mayHaveLackedMemory((error as Error).message)) await tellFits(library, training, (error as Error).message);
      throw error;
    }
  } finally {
    progress.end();
    process.off('SIGINT', onInterrupt);
    process.off('SIGTERM', onInterrupt);
  }

  const run = findRun(library, String(training.id));
  const last = run.checkpoints.at(-1);
  const best = run.checkpoints.find((checkpoint) => checkpoint.best);
  if (jsonLines) {
    const bestPath = best?.path ?? null;
    const { status, step, peakMemoryBytes } = run;
    const result = { checkpoint: last?.path ?? null, sha256: last?.sha256 ?? null, best: bestPath };
    line({ type: 'done', run: run.id, name: run.name, status, step, ...result, peakMemoryBytes });
  } else if (run.status === 'finished') {
    const memory = run.peakMemoryBytes ? `, peak memory ${formatBytes(run.peakMemoryBytes)}` : '';
    print(`${run.name}: ${run.step} steps${memory}\n${last?.path}\nsha256 ${last?.sha256}`);
    if (best && best.step !== last?.step) tell(`the best evaluation was at step ${best.step}: ${run.name} names that one, ${run.name}@${last?.step} the last`);
  }
  if (run.status !== 'finished') {
    const kept = last ? `kept at step ${last.step}` : 'no checkpoint yet';
    tell(`${run.name} is ${run.status} (${kept}); attune resume ${run.name} goes on`);
    process.exitCode = 130;
  }
}

/** What would have taken less, after a run that ended for want of memory. */
async function tellFits(library: Library, { id, name }: TrainingRun, message: string): Promise<void> {
  const changes = createChanges(library);
  const estimator = createEstimator(library, changes);
  const fits = await estimator.fits(findRun(library, String(id)).recipe, memoryReached(message)).catch(() => []);
  estimator.close();
  changes.close();
  if (fits.length === 0) return tell(`${name}: no smaller batch, checkpointing or adapter makes it fit here: take a smaller model, a shorter maxLength, or a machine with more memory`);
  tell(`${name}: what would fit, by the estimate (change the recipe so, and start it anew):`);
  for (const { changes, memory } of fits) tell(`  ${changes.map(describeChange).join(', ')}  (about ${formatBytes(memory)})`);
}

function tellRuns(library: Library): void {
  const runs = listRuns(library);
  if (runs.length === 0) return tell('no run yet; attune train RECIPE starts one');
  const rows = runs.map((run) => [
    String(run.id),
    run.name,
    run.method,
    run.status,
    run.totalSteps > 0 ? `${run.step}/${run.totalSteps}` : '–',
    run.recipe.model,
    run.recipe.dataset,
    run.createdAt.slice(0, 16).replace('T', ' '),
  ]);
  print(table([['run', 'name', 'method', 'status', 'step', 'model', 'dataset', 'made (UTC)'], ...rows]));
}

function tellRun(library: Library, run: Run, options: { metrics?: boolean; json?: boolean }): void {
  const metrics = readMetrics(library, run.id);
  if (options.json) return printJson({ ...run, metrics });
  print(`${run.name} (run ${run.id}): ${run.method}, ${run.status}, step ${run.step} of ${run.totalSteps || '?'}, seed ${run.seed}`);
  print(`from ${run.recipe.model} on ${run.recipe.dataset}; device ${run.device ?? '–'}, engine ${run.engineVersion ?? '–'}`);
  print(`data sha256 ${run.trainSha256 ?? '–'}`);
  print(`recipe ${run.folder}/recipe.yaml`);
  if (run.error) print(`error: ${run.error}`);
  for (const { step, path, sha256, best } of run.checkpoints) print(`checkpoint at step ${step}${best ? ' (best)' : ''}: ${path}, sha256 ${sha256}`);
  const shown = options.metrics ? metrics : metrics.slice(-1);
  for (const { step, values } of shown) {
    print(`step ${step}: ${Object.entries(values).map(([name, value]) => `${name} ${Number(value.toPrecision(5))}`).join(', ')}`);
  }
}
