/**
 * Drives one training run: has its method (methods/) prepare the rows and pulls the method's steps one by one; between steps it emits metrics,
 * obeys pause and stop, and writes checkpoints. Resuming is the same path: it starts from the newest whole checkpoint in the run's folder.
 * It knows no method, no loss and no layer.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { EngineEvent, ModelPath, ToldEvent, TrainJob } from '../shared/job.ts';
import { maxBatchTokens, rowsOfStep } from '../shared/recipe.ts';
import { isEvaluationStep, judgement, type StepReport, type Training } from './algorithms/training.ts';
import { countParameters, rowFlops, rowSizes, stepFlops } from './cost.ts';
import { findCheckpoint, pruneCheckpoints, readOptimizer, type RunState, writeCheckpoint } from './checkpoint.ts';
import { planSteps } from './data/plan.ts';
import type { Device } from './device/device.ts';
import { prepareMethod } from './methods/index.ts';
import { openModel, trainedStorage } from './open-model.ts';
import { createAdamW } from './optim/adamw.ts';
import { loadTokenizer } from './tokenizer/tokenizer.ts';
import { createTrainingSampler } from './training-samples.ts';

/** What a person asked for while the run goes on, and the step of the last checkpoint that main has written down, −1 before the first; read between steps. */
export type Control = { paused: boolean; stopped: boolean; kept: number; changed: Promise<void> };

type Emit = (event: EngineEvent) => void;

export async function train(job: TrainJob, device: Device, control: () => Control, emit: Emit): Promise<{ stopped: boolean }> {
  const { recipe } = job;
  await mkdir(join(job.folder, 'checkpoints'), { recursive: true });
  const tokenizer = await loadTokenizer(job.model.folder);
  const checkpoint = await findCheckpoint(job.folder);
  const start: ModelPath = checkpoint ? checkpointModel(job, checkpoint.path) : job.model;
  if (checkpoint) {
    const { path, state: { step, best }, sha256, told } = checkpoint;
    emit({ type: 'found', checkpoint: { path, step, sha256, best: best?.step === step }, told: told.events });
  }
  if (checkpoint?.state.ended !== undefined) {
    // killed between its last checkpoint and its end
    emit({ type: 'note', text: checkpoint.state.ended });
    return { stopped: false };
  }
  const method = await prepareMethod({ job, device, tokenizer, emit });
  const { model, source } = await openModel(device, start, tokenizer, {
    storage: trainedStorage(recipe),
    trainable: method.trainable ?? (recipe.lora ? 'lora' : 'all'),
    head: method.head,
    lora: recipe.lora ?? undefined,
    seed: recipe.seed,
    gradientCheckpointing: recipe.gradientCheckpointing,
    randomInit: recipe.method === 'pretrain' && recipe.fromScratch && !checkpoint,
  });

  const { lengths } = method;
  const steps = planSteps(lengths.map((row) => rowSizes(row).tokens), { ...recipe, ...rowsOfStep(recipe), maxTokens: maxBatchTokens(recipe) });

  const adamw = createAdamW(device, model.parameters, recipe.optimizer);
  if (checkpoint) await readOptimizer(checkpoint.path, device, adamw, checkpoint.state.step);
  const state: RunState = checkpoint?.state ?? { step: 0, numTokens: 0, best: null };
  if (checkpoint) emit({ type: 'note', text: `resuming after step ${state.step} of ${steps.length}` });
  const carried = { ...state.carried };
  const training: Training = {
    model, adamw, settings: recipe.optimizer, totalSteps: steps.length, startStep: state.step, seed: recipe.seed,
    carried, checkpoint: checkpoint?.path,
  };

  const reports = await method.start(training, steps);
  let unheard = checkpoint?.told.events ?? []; // since the last checkpoint that main has: it may be gone before it hears of the next two
  const tell = (event: ToldEvent): void => {
    unheard.push(event);
    emit(event);
  };
  const save = async (best: boolean) => {
    unheard = unheard.filter(({ step }) => step > control().kept);
    const base = { folder: job.model.folder, ...source };
    const written = await writeCheckpoint(job.folder, {
      model, adamw, critic: training.critic, recipe, base,
      state: Object.keys(carried).length > 0 ? { ...state, carried } : state,
      told: { seconds: clock.seconds(), events: unheard },
    });
    await pruneCheckpoints(job.folder, recipe.saveTotalLimit, state.best?.step ?? null);
    emit({ type: 'checkpoint', path: written.path, step: state.step, sha256: written.sha256, best });
  };

  const sampler = model.score ? null : await createTrainingSampler(job, model, tokenizer);
  const sample = async (step: number) => {
    const samples = await sampler?.(() => control().stopped);
    if (samples && !control().stopped) tell({ type: 'samples', step, samples });
  };
  const shapes = { config: model.config, lora: recipe.lora, headOnly: method.trainable === 'score', gradientCheckpointing: recipe.gradientCheckpointing, bf16: true };
  const { base, adapter, trainable } = countParameters(shapes);
  emit({ type: 'start', step: state.step, totalSteps: steps.length, parameters: base + adapter, trainableParameters: trainable });
  if (state.step === 0) await sample(0);

  const flops = Float64Array.from(lengths, (row) => stepFlops(recipe, shapes, row));
  const flopsOf = ({ step, computed }: StepReport): number =>
    computed
      ? computed.rows.reduce((sum, row) => sum + rowFlops(shapes, row) + computed.forwards * rowFlops(shapes, row, true), 0)
      : steps[step - 1].reduce((sum, batch) => batch.reduce((all, row) => all + flops[row], sum), 0);
  const rowsPerStep = steps.map((batches) => batches.reduce((sum, batch) => sum + batch.length, 0));
  let rowsSeen = rowsPerStep.slice(0, state.step).reduce((sum, count) => sum + count, 0);
  let saved = state.step;
  const clock = new Clock(steps.length, checkpoint?.told.seconds ?? 0);
  await obeyPause(control, clock, emit);
  if (control().stopped) return { stopped: true };
  clock.begin();
  for await (const report of reports) {
    state.step = report.step;
    state.numTokens += report.tokens;
    rowsSeen += rowsPerStep[report.step - 1];
    const evaluation = judgement(report.values);
    const evaluated = evaluation !== null;
    // a head alone is so little work that its time tells nothing of the speed of training
    clock.tick(report, evaluated || shapes.headOnly ? null : flopsOf(report));
    const values: Record<string, number> = { ...report.values, num_tokens: state.numTokens, epoch: rowsSeen / lengths.length };
    if (report.ended) {
      state.ended = report.ended;
      emit({ type: 'note', text: report.ended });
    }
    const last = report.step === steps.length || report.ended !== undefined;
    if (report.step % recipe.loggingSteps === 0 || last || evaluated) tell({ type: 'metrics', step: report.step, seconds: clock.seconds(), values });
    emit({ type: 'progress', step: report.step, totalSteps: steps.length, ...clock.rates(), seconds: clock.seconds(), memoryBytes: clock.memory(), values });

    if (report.evaluation) tell({ type: 'report', step: report.step, report: report.evaluation });
    const best = evaluation !== null && (state.best === null || evaluation < state.best.evalLoss);
    if (best) state.best = { step: report.step, evalLoss: evaluation };
    if (isEvaluationStep(report.step, steps.length, recipe.evalSteps)) await sample(report.step);
    if (best || last || (recipe.saveSteps > 0 && report.step % recipe.saveSteps === 0)) {
      await save(state.best?.step === report.step);
      saved = report.step;
    }

    await obeyPause(control, clock, emit);
    if (control().stopped && !last) {
      if (saved !== report.step) await save(state.best?.step === report.step);
      return { stopped: true };
    }
    clock.begin();
  }
  model.free();
  return { stopped: false };
}

/** Lets messages from main in, and waits while a person wants it paused. */
async function obeyPause(control: () => Control, clock: Clock, emit: Emit): Promise<void> {
  await new Promise(setImmediate);
  while (control().paused && !control().stopped) {
    emit({ type: 'paused' });
    const goOn = clock.pause();
    await control().changed;
    goOn();
    if (!control().paused) emit({ type: 'resumed' });
  }
}

/** Where the weights of a checkpoint are: the folder itself, or its adapter on the run's base. */
function checkpointModel(job: TrainJob, path: string): ModelPath {
  return job.recipe.lora ? { folder: job.model.folder, adapter: path } : { folder: path };
}

/** Speed and time left, from a window of recent steps so that warm-up does not colour them; time of training, pauses left out; memory. */
class Clock {
  private readonly totalSteps: number;
  private readonly before: number;
  private start = performance.now();
  private readonly window = [{ at: this.start, tokens: 0 }];
  private step = 0;
  private begun = 0;
  private flops = 0;
  private flopSeconds = 0;
  private rss = { at: -Infinity, bytes: 0 };
  /** `before`: seconds of training that a resumed run has behind it. */
  constructor(totalSteps: number, before: number) {
    this.totalSteps = totalSteps;
    this.before = before;
  }

  /** A step begins now: what stands between two steps (evaluation samples, checkpoints) does not count to FLOP/s. */
  begin(): void {
    this.begun = performance.now();
  }

  /** `flops` null: the step evaluated too, and tells nothing of the speed of training. */
  tick(report: StepReport, flops: number | null): void {
    const now = performance.now();
    this.step = report.step;
    this.window.push({ at: now, tokens: report.computedTokens });
    if (this.window.length > 50) this.window.shift();
    if (flops === null) return;
    this.flops += flops;
    this.flopSeconds += (now - this.begun) / 1000;
  }

  /** Call the returned function when the pause ends: the time in between does not count. */
  pause(): () => void {
    const from = performance.now();
    return () => {
      const paused = performance.now() - from;
      this.start += paused;
      for (const mark of this.window) mark.at += paused;
    };
  }

  rates(): { tokensPerSecond: number; secondsLeft: number; flopsPerSecond: number | null } {
    const seconds = (this.window.at(-1)!.at - this.window[0].at) / 1000;
    const tokens = this.window.slice(1).reduce((sum, mark) => sum + mark.tokens, 0);
    const secondsPerStep = seconds / (this.window.length - 1);
    return {
      tokensPerSecond: tokens / seconds,
      secondsLeft: (this.totalSteps - this.step) * secondsPerStep,
      flopsPerSecond: this.flopSeconds > 0 ? this.flops / this.flopSeconds : null,
    };
  }

  seconds(): number {
    return this.before + (performance.now() - this.start) / 1000;
  }

  /** Resident bytes of this process, asked of the system once a second at most. */
  memory(): number {
    const now = performance.now();
    if (now - this.rss.at >= 1000) this.rss = { at: now, bytes: process.memoryUsage.rss() };
    return this.rss.bytes;
  }
}
