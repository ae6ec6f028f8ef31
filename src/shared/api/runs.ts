/** Training runs: estimated, queued, watched live, steered, and read afterwards. One run trains at a time; the others wait in a queue. */
import { eventIterator, oc, type } from '@orpc/contract';
import { z } from 'zod';
import { type Message, Template, type TemplateProblem } from '../dataset.ts';
import type { Fit } from '../fitting.ts';
import type { TryRewardsResult } from '../job-results.ts';
import { Recipe, Reward } from '../recipe.ts';
import type { RunReport } from '../reports.ts';
import type { RolloutLine } from '../rollout-line.ts';
import { answers } from './answers.ts';

export type RunStatus = 'queued' | 'running' | 'paused' | 'finished' | 'stopped' | 'failed' | 'interrupted';

export type RunProgress = { step: number; totalSteps: number; tokensPerSecond: number; secondsLeft: number; memoryBytes: number | null };

export type Checkpoint = { /** NAME@STEP, as models are called */ name: string; step: number; path: string; sha256: string; best: boolean; bytes: number; createdAt: string };

export type RunSummary = {
  id: number;
  name: string;
  method: Recipe['method'];
  status: RunStatus;
  /** While it runs: pausing or stopping takes effect after the step under way. */
  asked: 'pause' | 'stop' | null;
  model: string;
  dataset: string;
  lora: boolean;
  /** Name of the run it starts from a checkpoint of. */
  parentRun: string | null;
  step: number;
  totalSteps: number;
  /** Last value of every metric. */
  last: Record<string, number>;
  error: string | null;
  /** Where in the queue, from 1; null when it does not wait. */
  queuePosition: number | null;
  checkpointCount: number;
  createdAt: string;
  startedAt: string | null;
  finishedAt: string | null;
  /** Of training, pauses left out. */
  seconds: number;
  peakMemoryBytes: number | null;
};

/**
 * Curves as columns: a value per logged step, null where the metric was not logged then (or is NaN). Of a long run the snapshot holds the first
 * points and `points` the rest, at once; a piece has only the columns that have a value in it. num_tokens is `tokens`, not a column.
 */
export type Curves = { steps: number[]; tokens: (number | null)[]; /** of training, pauses left out */ seconds: (number | null)[]; values: Record<string, (number | null)[]> };

/** A prompt answered by the model as it was at a step. */
export type SampleCompletion = { step: number; prompt: Message[] | string; completion: string; /** the answer the data has, for comparison */ expected: string | null };

export type LogLine = { at: string; text: string };

export type RunDetail = RunSummary & { recipe: Recipe; checkpoints: Checkpoint[]; folder: string; device: string | null; seed: number; trainSha256: string | null; /** of the last evaluation that found more than numbers */ report: { step: number; report: RunReport } | null };

/** `snapshot` first and after a gap; then what is new since. */
export type RunEvent =
  | { type: 'snapshot'; run: RunDetail; curves: Curves; samples: SampleCompletion[]; log: LogLine[]; progress: RunProgress | null }
  | { type: 'run'; run: RunDetail }
  | { type: 'points'; curves: Curves }
  | { type: 'progress'; progress: RunProgress }
  | { type: 'samples'; samples: SampleCompletion[] }
  | { type: 'log'; lines: LogLine[] };

/** An answer that training sampled, and what it scored: `score` is the weighted sum of `rewards`. */
export type SampledAnswer = Pick<RolloutLine, 'sample' | 'completion' | 'finished' | 'score' | 'rewards' | 'gold' | 'kept'> & {
  tokens: number;
  /** Of the answer, or the mean of its tokens'; undefined where the method has none. */
  advantage: number | undefined;
};

/** Answers of one step in the order asked for, those to one prompt together. */
export type SampledPage = { /** of the whole step */ prompts: number; answers: number; groups: { row: number; prompt: string; answers: SampledAnswer[] }[] };

/** As sampled; or by score, prompts by the mean of their answers and within a prompt the answers. */
export const ANSWER_ORDERS = ['sampled', 'best', 'worst'] as const;

/** What a recipe would take, before it starts. */
export type Estimate = {
  parameters: number;
  /** Those a token goes through, of a mixture of experts; null of a dense model. */
  activeParameters: number | null;
  trainableParameters: number;
  rows: { train: number; validation: number };
  /** Of one pass over the training rows, the cut ones as cut; from a sample when there are many. */
  tokensPerEpoch: number;
  longestRow: number;
  /** Rows longer than maxLength. */
  cutRows: number;
  sampledRows: number;
  steps: number;
  /** That the optimiser sees in all. */
  tokens: number;
  /** Held at once while training; of them, those that stand on the trained one's own frozen weights. */
  models: { held: number; shared: number };
  /** Bytes. Activations: beyond the gradients, whose memory they use too before those come to be. */
  memory: { weights: number; gradients: number; optimizer: number; activations: number; total: number; /** free on this machine now, or what the device has */ available: number; /** with some to spare */ fits: boolean };
  /** null when the speed of this machine is not known yet. */
  seconds: number | null;
  tokensPerSecond: number | null;
  speedFrom: 'runs' | 'kernels' | null;
  /** One sentence each: memory that will not fit, rows that are cut, a learning rate that is unusual for the method. */
  warnings: string[];
  /** Of the model's own chat template, where the recipe uses it. */
  templateProblems: TemplateProblem[];
};

const run = z.strictObject({ id: z.int() });

export const training = {
  /** What the rewards of a recipe give for one answer to a prompt; `model` is the recipe's, by whose tokens an answer is counted. */
  tryRewards: oc
    .input(z.strictObject({
      model: z.string().min(1), template: Template, rewards: z.array(Reward).min(1), prompt: z.string().max(100_000), completion: z.string().max(100_000), expected: z.string().max(100_000).nullable(),
    }))
    .output(type<TryRewardsResult>()),
  estimate: oc.input(z.strictObject({ recipe: Recipe })).output(type<Estimate>()),
  /** Changes to it by which it would take less and fit, the least change first; none where nothing does. `reached`: bytes at which a run of it ended. */
  fits: oc.input(z.strictObject({ recipe: Recipe, reached: z.number().min(0).nullable() })).output(type<Fit[]>()),
  /** Stores the run and queues it; it starts at once when nothing else trains. */
  start: oc.input(z.strictObject({ recipe: Recipe })).output(type<{ id: number; name: string }>()),
};

export const runs = {
  list: answers<RunSummary[]>(),
  watch: oc.input(run).output(eventIterator(type<RunEvent>())),
  /** For overlays: of more than 10,000 points every n-th, and all with an evaluation. A watch gives them all. */
  curves: oc.input(run).output(type<Curves>()),
  /** Of an online method, ascending: the steps that sampled answers. */
  sampledSteps: oc.input(run).output(type<number[]>()),
  /** `offset` and `count` count answers. */
  sampledAnswers: oc
    .input(z.strictObject({ id: z.int(), step: z.int().min(1), order: z.enum(ANSWER_ORDERS), offset: z.int().min(0), count: z.int().min(1).max(200) }))
    .output(type<SampledPage>()),
  pause: oc.input(run).output(type<void>()),
  /** A paused run goes on; an interrupted, stopped or failed one is queued again from its newest checkpoint. */
  resume: oc.input(run).output(type<void>()),
  /** After the step under way, with a checkpoint. A queued one leaves the queue. */
  stop: oc.input(run).output(type<void>()),
  rename: oc.input(z.strictObject({ id: z.int(), name: z.string().min(1).max(100) })).output(type<void>()),
  /** Queued runs, first first. */
  reorder: oc.input(z.strictObject({ ids: z.array(z.int()) })).output(type<void>()),
  /** What deleting it would take away. */
  footprint: oc.input(run).output(type<{ bytes: number; checkpoints: number; /** runs whose adapters need its weights: they block */ neededBy: string[]; /** exports and votes stay */ descendants: string[] }>()),
  remove: oc.input(run).output(type<void>()),
};
