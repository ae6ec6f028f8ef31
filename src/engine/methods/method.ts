/**
 * What a training method is to run.ts: rows made ready from the job's files, and the steps taken on them. One file a method beside this one;
 * the steps themselves are in algorithms/.
 */
import type { EngineEvent, RowLengths, TrainJob } from '../../shared/job.ts';
import type { Recipe } from '../../shared/recipe.ts';
import type { StepReport, Training } from '../algorithms/training.ts';
import type { StepPlan } from '../data/plan.ts';
import type { PrepareSettings } from '../data/prepare.ts';
import type { Device } from '../device/device.ts';
import type { ScoreHead } from '../model/heads.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';

export type MethodContext<R extends Recipe = Recipe> = {
  job: TrainJob & { recipe: R };
  device: Device;
  tokenizer: Tokenizer;
  emit: (event: EngineEvent) => void;
};

export type PreparedMethod = {
  /** Of each training row: steps are planned, and operations counted, from these. */
  lengths: RowLengths[];
  /** Where the model gets a score head in place of its LM head. */
  head?: ScoreHead;
  /** What is trained, where it is neither an adapter nor everything. */
  trainable?: 'score';
  /** Takes the steps of the plan from `training.startStep` on. What else it needs (a reference, its own models) it makes here, once. */
  start(training: Training, steps: StepPlan[]): Promise<AsyncGenerator<StepReport, void, void>>;
};

export type Method<R extends Recipe> = (context: MethodContext<R>) => Promise<PreparedMethod>;

/** The rows of both files of the job, read alike; none where there is no validation file. */
export async function prepareSplits<Row>({ train, validation }: TrainJob, prepare: (path: string) => Promise<Row[]>): Promise<{ train: Row[]; validation: Row[] }> {
  return { train: await prepare(train), validation: validation ? await prepare(validation) : [] };
}

/** How rows of the job are tokenised. */
export function prepareSettings({ job: { recipe }, tokenizer, emit }: MethodContext, completionOnlyLoss = true): PrepareSettings {
  const { template, maxLength } = recipe;
  return { template, tokenizer, maxLength, completionOnlyLoss, warn: (text) => emit({ type: 'note', text }) };
}

/**
 * What config.json of a scorer says its padding token is (ScoreHead): the tokenizer's, unless a text ends with it. transformers would take
 * that text's end for padding and score the token before.
 */
export function padTokenOf({ tokenizer, emit }: MethodContext, texts: Int32Array[]): number | null {
  const { padId } = tokenizer;
  if (padId === null || !texts.some((tokens) => tokens.at(-1) === padId)) return padId;
  emit({ type: 'note', text: `texts end with the token that also pads (${tokenizer.token(padId)}): config.json will name no padding token, so that transformers scores one text at a time, and rightly` });
  return null;
}
