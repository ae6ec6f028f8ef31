/**
 * What a recipe would take, told before it starts: the engine's plan of sampled rows, put beside what this machine has and what runs reached
 * on it. Parts are kept by what they depend on, so that a change of one field in the form does not tokenise the rows again.
 */
import type { Estimate } from '../../shared/api/runs.ts';
import type { DeviceName } from '../../shared/devices.ts';
import type { Fit } from '../../shared/fitting.ts';
import type { ModelPath, PlanJob } from '../../shared/job.ts';
import type { PlanResult } from '../../shared/job-results.ts';
import { type Recipe, ROWS_OF } from '../../shared/recipe.ts';
import type { Changes } from '../changes.ts';
import { listRuns } from '../db/runs.ts';
import { withJsonl } from '../datasets/examples-file.ts';
import { resolveDataset } from '../datasets/index.ts';
import { askEngine } from '../engine.ts';
import type { Library } from '../library.ts';
import { readFacts } from '../models/facts.ts';
import { pathsOfOthers, resolveModel } from '../models/index.ts';
import { readSettings } from '../settings.ts';
import { warningsOf } from './estimate-warnings.ts';
import { findFits, fitsIn } from './fitting.ts';
import { sampleRows } from './sampled-rows.ts';

export type Estimator = {
  estimate(recipe: Recipe): Promise<Estimate>;
  /** What would take less, and fit; see fitting.ts. */
  fits(recipe: Recipe, reached: number | null): Promise<Fit[]>;
  close(): void;
};

/** Of rows tokenised under one template and length, and of whole plans. */
const KEPT_SAMPLES = 8;
const KEPT_PLANS = 64;
/** Steps of a run that say something of the speed of its machine; and how different in size its model may be. */
const TELLING_STEPS = 10;
const SIZE_FACTOR = 4;
/** Starting an engine and loading a model, seconds. */
const START_SECONDS = 0.5;

type Sample = { trainRows: number; validationRows: number; read: PlanResult | null; rows: string[] };

export function createEstimator(library: Library, changes: Changes): Estimator {
  const samples = new Map<string, Promise<Sample>>();
  const plans = new Map<string, Promise<{ plan: PlanResult; sample: Sample }>>();
  const speeds = new Map<string, number>();
  let last: Promise<unknown> = Promise.resolve(); // one engine at a time: estimates must not crowd out a run
  const controller = new AbortController();
  forgetChanged().catch(() => {}); // closing aborts it

  /** Rows and models may be others now. */
  async function forgetChanged(): Promise<void> {
    for await (const { topics } of changes.watch(controller.signal)) {
      if (!topics.includes('datasets') && !topics.includes('models')) continue;
      samples.clear();
      plans.clear();
    }
  }

  function plan(device: DeviceName, recipe: Recipe, model: ModelPath): Promise<{ plan: PlanResult; sample: Sample }> {
    const result = last.then(async () => {
      const sample = await keep(samples, KEPT_SAMPLES, sampleKey(recipe, model), async () => ({ ...(await sampleRows(library, recipe)), read: null }));
      const { trainRows, validationRows, read } = sample;
      const measureSpeed = !speeds.has(speedKey(device, model)) && speedOfRuns(library, device, recipe, null) === null;
      const job = (rows: PlanJob['sample']): PlanJob => ({ type: 'plan', device, threads: 0, recipe, model, models: pathsOfOthers(library, recipe), sample: rows, trainRows, validationRows, measureSpeed });
      const plan = read
        ? await askEngine<PlanResult>(job({ rows: read.rows }))
        : await withJsonl(sample.rows, (examples) => askEngine<PlanResult>(job({ examples })));
      if (plan.flopsPerSecond !== null) speeds.set(speedKey(device, model), plan.flopsPerSecond);
      sample.read ??= plan;
      sample.rows = [];
      return { plan, sample };
    });
    last = result.catch(() => {});
    return result;
  }

  return {
    async estimate(given) {
      const model = resolveModel(library, given.model);
      const recipe = { ...given, dataset: resolveDataset(library, given.dataset) };
      const { device } = readSettings(library);
      const { plan: planned, sample } = await keep(plans, KEPT_PLANS, planKey(device, recipe, model.path), () => plan(device, recipe, model.path));
      const read = sample.read!;
      const { weights, gradients, optimizer, activations, runtime } = planned.memory;
      const total = weights + gradients + optimizer + activations + runtime;
      const available = planned.deviceMemory ?? process.availableMemory();
      const fromRuns = speedOfRuns(library, device, recipe, planned.parameters);
      const speed = fromRuns ?? speeds.get(speedKey(device, model.path)) ?? null;
      const seconds = speed === null ? null : START_SECONDS + planned.flops / speed;
      const facts = (await readFacts(library, [model.path.folder])).get(model.path.folder)!;
      const estimate: Estimate = {
        parameters: planned.parameters,
        activeParameters: planned.activeParameters,
        trainableParameters: planned.trainableParameters,
        rows: { train: sample.trainRows, validation: sample.validationRows },
        tokensPerEpoch: planned.tokensPerEpoch,
        longestRow: read.longestRow,
        cutRows: Math.round((sample.trainRows * read.cut) / Math.max(1, read.sampled)),
        sampledRows: read.sampled,
        steps: planned.steps,
        tokens: planned.tokens,
        models: planned.models,
        memory: { weights, gradients, optimizer, activations, total, available, fits: fitsIn({ total, available }) },
        seconds,
        tokensPerSecond: seconds === null ? null : planned.tokens / seconds,
        speedFrom: speed === null ? null : fromRuns === null ? 'kernels' : 'runs',
        warnings: [],
        templateProblems: [
          ...(recipe.template === 'chat' && recipe.method !== 'pretrain' && recipe.method !== 'classify' ? facts.templateProblems : []),
          ...(read.dropsTools ? (['drops-tools'] as const) : []),
        ],
      };
      return { ...estimate, warnings: warningsOf(recipe, estimate, { contextLength: facts.contextLength, leftOut: read.leftOut }) };
    },
    async fits(given, reached) {
      const { memory } = await this.estimate(given);
      const { total, available, weights, gradients, optimizer, activations } = memory;
      const runtime = total - weights - gradients - optimizer - activations; // a device knows of its own memory alone
      return findFits(given, { total, available, reached: reached === null ? null : reached + runtime }, async (recipe) => (await this.estimate(recipe)).memory.total);
    },
    close: () => controller.abort(),
  };
}

/** What the lengths of the rows depend on. */
function sampleKey(recipe: Recipe, model: ModelPath): string {
  const { method, dataset, template, maxLength, evalRatio, seed } = recipe;
  return JSON.stringify([model.folder, method === 'sft' && recipe.completionOnlyLoss, ROWS_OF[method], dataset, template, maxLength, evalRatio, seed, method === 'reward' && recipe.half]);
}

/** What the plan depends on: all but names, how often things are written down, and the optimiser. */
function planKey(device: DeviceName, recipe: Recipe, model: ModelPath): string {
  const { name: _name, optimizer: _optimizer, saveSteps: _save, saveTotalLimit: _limit, loggingSteps: _logging, evalSamples: _samples, ...parts } = recipe;
  return JSON.stringify([device, model, parts]);
}

const speedKey = (device: DeviceName, model: ModelPath): string => JSON.stringify([device, model.folder]);

/** FLOP/s of the run nearest in size on that device, the newest of those; null when none is like it. `parameters` null: of any size. */
function speedOfRuns({ db }: Library, device: DeviceName, { method, lora, gradientCheckpointing }: Recipe, parameters: number | null): number | null {
  const like = listRuns(db).filter(
    (run) =>
      run.flopsPerSecond !== null && run.parameters !== null && run.step >= TELLING_STEPS && run.method === method && run.device?.split(',')[0] === device &&
      (run.recipe.lora === null) === (lora === null) && run.recipe.gradientCheckpointing === gradientCheckpointing,
  );
  const distance = (run: (typeof like)[number]): number => (parameters === null ? 0 : Math.abs(Math.log(run.parameters! / parameters)));
  const nearest = like.reverse().sort((a, b) => distance(a) - distance(b))[0];
  return nearest && distance(nearest) <= Math.log(SIZE_FACTOR) ? nearest.flopsPerSecond : null;
}

/** The value kept under a key, made when it is not there; what failed is not kept. The oldest goes when there are too many. */
function keep<T>(kept: Map<string, Promise<T>>, limit: number, key: string, make: () => Promise<T>): Promise<T> {
  const found = kept.get(key);
  if (found) return found;
  const made = make();
  kept.set(key, made);
  made.catch(() => kept.delete(key));
  if (kept.size > limit) kept.delete(kept.keys().next().value!);
  return made;
}
