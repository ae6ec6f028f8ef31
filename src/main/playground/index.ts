/** Answers to many prompts by one model, with their lengths and log-probabilities. Who judges them is another matter. */
import type { Constraint, Validity } from '../../shared/constraint.ts';
import type { Template } from '../../shared/dataset.ts';
import type { DeviceName } from '../../shared/devices.ts';
import type { Prompt } from '../../shared/job.ts';
import type { FinishReason, Sampling } from '../../shared/sampling.ts';
import { startEngine } from '../engine.ts';
import type { Model } from '../models/index.ts';

export type Answer = {
  text: string;
  /** The answer's length, its end-of-turn token included. */
  tokens: number;
  characters: number;
  /** Of the answer's tokens under the model that wrote them, nats. */
  logprob: number;
  meanLogprob: number;
  finishReason: FinishReason;
  /** Where something was asked of it. */
  validity?: Validity;
};

export type AnswerOptions = {
  template: Template;
  sampling: Sampling;
  constraint?: Constraint;
  device?: DeviceName;
  threads?: number;
  batchSize?: number;
  onAnswer?: (index: number) => void;
  /** Ends it at once. */
  signal?: AbortSignal;
  onNote?: (text: string) => void;
};

/** In the order of the prompts. */
export async function answerPrompts(model: Model, prompts: Prompt[], options: AnswerOptions): Promise<Answer[]> {
  const { template, sampling, constraint, device = 'native', threads = 0, batchSize = 32, onAnswer = () => {}, onNote = () => {}, signal } = options;
  signal?.throwIfAborted();
  const answers: Answer[] = [];
  const engine = startEngine({ type: 'sample', device, threads, model: model.path, template, prompts, sampling, constraint, dtype: 'stored', batchSize });
  signal?.addEventListener('abort', engine.kill);
  try {
    for await (const event of engine.events) {
      if (event.type === 'note') onNote(event.text);
      if (event.type !== 'completion') continue;
      const { index, text, ids, logprobs, finishReason, validity } = event;
      const logprob = logprobs.reduce((sum, value) => sum + value, 0);
      answers[index] = { text, tokens: ids.length, characters: [...text].length, logprob, meanLogprob: logprob / Math.max(1, logprobs.length), finishReason, validity };
      onAnswer(index);
    }
    return answers;
  } finally {
    signal?.removeEventListener('abort', engine.kill);
  }
}
