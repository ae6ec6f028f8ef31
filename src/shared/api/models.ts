/** Models: what the library can start from, talk to and export, with where each came from. */
import { oc, type } from '@orpc/contract';
import { z } from 'zod';
import type { Template, TemplateProblem } from '../dataset.ts';
import type { Recipe } from '../recipe.ts';
import { answers } from './answers.ts';

export type ModelSummary = {
  /** Unique; what recipes and every other procedure call it. A run's model is the run's name, a checkpoint of it NAME@STEP. */
  name: string;
  kind: 'embedded' | 'added' | 'run' | 'checkpoint' | 'export';
  /** Weights of its own, or a LoRA adapter on a base. */
  form: 'full' | 'adapter';
  /** `model_type` of config.json: llama, qwen2, qwen3. */
  family: string | null;
  /** All of it, the base included. */
  parameters: number | null;
  /** Those a token goes through, of a mixture of experts; null of a dense model. */
  activeParameters: number | null;
  /** Of the adapter alone. */
  adapterParameters: number | null;
  adapterRank: number | null;
  /** On disk: the adapter's files for an adapter. */
  bytes: number | null;
  dtype: string | null;
  contextLength: number | null;
  vocabularySize: number | null;
  layers: number | null;
  hiddenSize: number | null;
  folder: string;
  adapter: string | null;
  template: Template;
  hasChatTemplate: boolean;
  templateProblems: TemplateProblem[];
  /** What it scores, one label for a reward model; null of a language model, which writes texts. */
  labels: string[] | null;
  /** Name of the model it was made from, when that is known. */
  parent: string | null;
  /** How it was made from it. */
  method: Recipe['method'] | 'export' | null;
  runId: number | null;
  step: number | null;
  best: boolean;
  createdAt: string | null;
  /** One sentence, when it cannot be used: its folder is gone, a tensor is missing. */
  problem: string | null;
};

export const models = {
  list: answers<ModelSummary[]>(),
  /** A Hugging Face folder or a PEFT adapter folder; the files stay where they are. */
  add: oc.input(z.strictObject({ folder: z.string(), name: z.string().min(1).max(100).optional() })).output(type<ModelSummary>()),
  /** Takes an added model's name out of the library; its files stay. */
  remove: oc.input(z.strictObject({ name: z.string() })).output(type<void>()),
};
